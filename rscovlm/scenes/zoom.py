"""Scenes that cannot be answered from an overview: a white pad with a marking too small to read there."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image

from rscovlm.scenes.layout import LayoutConfig, SceneLayout
from rscovlm.scenes.objects import COLOURS, SceneObject, draw_object
from rscovlm.scenes.pad import MARKING, PAD, QUESTION, UNIT, Pad, place_pad
from rscovlm.scenes.scene import SceneConfig
from rscovlm.scenes.shapes import SHAPES
from rscovlm.scenes.textures import Texture, textures


@dataclass(frozen=True, eq=False)
class ZoomScene:
    """A scene with one marked pad.

    Attributes:
        scene_class: The land cover, or "mixed".
        image: RGB picture, square.
        pad: Where the pad is and what is on it.
        question: What is asked.
        answer: The marking's name.
    """

    scene_class: str
    image: Image.Image
    pad: Pad
    question: str
    answer: str


def make_zoom_scene(
    rng: np.random.Generator | int,
    side: int = UNIT,
    config: SceneConfig | None = None,
    *,
    max_distractors: int = 2,
    mixed: float = 0.5,
    marking: float = MARKING,
    worn: float = 0.0,
) -> ZoomScene:
    """Make a scene whose question needs a closer look; the same seed gives the same bytes.

    Args:
        rng: A random generator, which advances, or a seed.
        side: Side of the scene in pixels; pad and objects keep their share of it.
        config: Supplies land covers, classes, colours and textures; its sizes are not used.
        max_distractors: Largest number of coloured objects beside the pad; mixed landscapes have their own.
        mixed: Share of scenes that show a whole landscape, as a large scene seen from far does, not one land cover.
        marking: Width of the marking in a scene of 336 pixels; the region to look at shrinks and grows with it.
        worn: Stains on the pad in grey levels: with 50, a marking of 5 cannot be read in an overview of 84 pixels (`rscovlm.scenes.legibility`).

    Raises:
        ValueError: If the scene is smaller than 168 pixels, where the marking is lost, or ``marking`` or ``worn`` out of range.

    Examples:
        >>> scene = make_zoom_scene(3, mixed=0)
        >>> scene.answer == scene.pad.glyph, scene.pad.box[2] - scene.pad.box[0]
        (True, np.float64(68.0))
    """
    if side < UNIT // 2:
        raise ValueError(f"a zoom scene of {side} pixels is too small to show its marking: use {UNIT // 2} or more")
    config = config or SceneConfig()
    rng = np.random.default_rng(rng)
    cover = "mixed" if rng.random() < mixed else config.covers[int(rng.integers(len(config.covers)))]
    bank = landscapes(config.texture_seed) if cover == "mixed" else textures(cover, config.texture_seed)
    texture = bank[int(rng.integers(len(bank)))]
    n = texture.image.shape[0]
    x, y = (int(v) for v in rng.integers(0, n - side + 1 if side <= n else n, 2))
    ground = texture.crop(x, y, side, int(rng.integers(8))).image
    shift = int(np.clip(8 * rng.normal(), -20, 20))
    image = Image.fromarray(np.clip(ground.astype(np.int16) + shift, 0, 255).astype(np.uint8))
    pad = place_pad(rng, side, side, marking, worn)
    s = pad.scale
    for _ in range(int(rng.integers(0, max_distractors + 1)) if cover != "mixed" else 0):
        thing = _distractor(rng, side, config)
        reach = thing.length / 2 + (PAD * 1.42 + 6) * s
        if np.hypot(thing.centre[0] - pad.centre[0], thing.centre[1] - pad.centre[1]) >= reach:
            draw_object(image, thing, (3 * s, 3 * s))
    pad.draw(image)
    return ZoomScene(cover, image, pad, QUESTION, pad.glyph)


_LANDSCAPES = 6


@lru_cache(maxsize=4)
def landscapes(seed: int) -> tuple[Texture, ...]:
    """Large scenes seen from far: (512, 512) sketches at 16 pixels a pixel."""
    out = []
    for k in range(_LANDSCAPES):
        layout = SceneLayout(1000 * (seed + 1) + k, LayoutConfig(pad=False, texture_seed=seed))
        picture = np.asarray(layout.render(0, 0, layout.width, layout.height, step=16))
        picture.setflags(write=False)
        out.append(Texture(picture, np.zeros(picture.shape[:2], bool)))
    return tuple(out)


def _distractor(rng: np.random.Generator, side: int, config: SceneConfig) -> SceneObject:
    """A large coloured object; never white, so that the pad is the only white thing."""
    s = side / UNIT
    label = config.classes[int(rng.integers(len(config.classes)))]
    names = [c for c in config.colours if c != "white"] or ["red"]
    colour = names[int(rng.integers(len(names)))]
    variant = int(rng.integers(len(SHAPES[label])))
    shape = SHAPES[label][variant]
    length = rng.uniform(60, 110) * s
    x, y = (float(v) for v in rng.uniform(60 * s, side - 60 * s, 2))
    angle = 0.0 if shape.round else float(rng.uniform(0, 2 * np.pi))
    return SceneObject(label, colour, (x, y), length, length * shape.width, angle, variant, COLOURS[colour])
