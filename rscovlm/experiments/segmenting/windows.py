"""Windows of generated scenes with the mask of every object: what the embedded segmenter is trained and tested on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rscovlm.geometry import Frame
from rscovlm.geometry.masks import Mask
from rscovlm.scenes import LayoutConfig, SceneConfig, SceneLayout, make_scene
from rscovlm.scenes.objects import SceneObject

SIDE = 64
"""Side of the square that the embedded segmenter sees, in pixels."""

TRAIN_TEXTURES, TEST_TEXTURES = (0, 1, 2), (777,)
"""Sets of textures; a window for testing shows none that training has shown."""

_LARGE_RATE = 0.3
"""Share of windows that are cut from large scenes: roads, roofs, quays, wakes, airliners and freighters."""
_LAYOUTS = 12
_LEAST_AREA = 12
"""Pixels that an object of a window has at least; smaller ones are no target."""
_LEAST_SHARE = 0.4
"""Share of an object that lies in the window at least."""


@dataclass(frozen=True, eq=False)
class ObjectWindow:
    """A square picture and the masks of its objects.

    Attributes:
        image: (side, side, 3) RGB.
        masks: (n, side, side) bool, at least one.
    """

    image: NDArray[np.uint8]
    masks: NDArray[np.bool_]

    def targets(self) -> list[Mask]:
        """Return the objects as masks of the picture."""
        side = self.image.shape[0]
        return [Mask.of(mask, Frame(side, side)) for mask in self.masks]


def draw_window(
    rng: np.random.Generator, textures: Sequence[int] = TRAIN_TEXTURES, *, side: int = SIDE
) -> ObjectWindow:
    """Draw a window with one to five objects.

    Most are scenes of their own, 44 to 160 pixels a side and resampled; the others are cut from large scenes.

    Args:
        rng: Draws everything.
        textures: Sets of textures to draw from.
        side: Of the picture in pixels.

    Raises:
        ValueError: A hundred windows in a row have no object.

    >>> window = draw_window(np.random.default_rng(0))
    >>> window.image.shape, window.masks.shape[1:]
    ((64, 64, 3), (64, 64))
    """
    for _ in range(100):
        texture = textures[int(rng.integers(len(textures)))]
        draw = _cut if rng.random() < _LARGE_RATE else _scene
        image, objects = draw(rng, texture)
        window = _resampled(image, objects, side)
        if len(window.masks):
            return window
    raise ValueError("a hundred windows without an object; this is a fault of the scenes")


def _scene(rng: np.random.Generator, texture: int) -> tuple[Image.Image, list[SceneObject]]:
    size = int(44 * (160 / 44) ** rng.random())
    config = SceneConfig(
        size=size,
        min_objects=1,
        max_objects=5,
        min_length=0.2 * size,
        max_length=0.6 * size,
        texture_seed=texture,
    )
    scene = make_scene(rng, config)
    return scene.image, list(scene.objects)


def _cut(rng: np.random.Generator, texture: int) -> tuple[Image.Image, list[SceneObject]]:
    """Return a square around one object of a large scene, with all objects that reach into it."""
    layout = _layout(int(rng.integers(_LAYOUTS)), texture)
    chosen = layout.objects[int(rng.integers(len(layout.objects)))]
    x1, y1, x2, y2 = chosen.hbb
    longest = max(x2 - x1, y2 - y1)
    size = int(max(36, longest * rng.uniform(1.3, 3.5)))
    low = [max(int(end) - size, 0) for end in (x2 + 4, y2 + 4)]
    high = [min(int(start) - 4, whole - size) for start, whole in zip((x1, y1), (2048, 2048), strict=True)]
    left, top = (int(rng.integers(a, b + 1)) if b > a else min(a, 2048 - size) for a, b in zip(low, high, strict=True))
    image = layout.render(left, top, left + size, top + size)
    return image, [one.moved(-left, -top) for one in layout.objects if _reaches(one, left, top, size)]


@lru_cache(maxsize=64)
def _layout(seed: int, texture: int) -> SceneLayout:
    return SceneLayout(seed + 1000 * texture, LayoutConfig(2048, 2048, pad=False, texture_seed=texture))


def _reaches(one: SceneObject, left: int, top: int, size: int) -> bool:
    x1, y1, x2, y2 = one.hbb
    return bool(x1 < left + size and y1 < top + size and x2 > left and y2 > top)


def _resampled(image: Image.Image, objects: Sequence[SceneObject], side: int) -> ObjectWindow:
    """Return the picture and its masks at another size, as the segmenter resamples what it is shown."""
    scale = side / image.width
    small = image.resize((side, side), Image.Resampling.BILINEAR)
    masks = []
    for one in objects:
        own = one.scaled(scale)
        mask = own.mask(side, side)
        whole = _area(own.polygon)
        if mask.sum() >= max(_LEAST_AREA, _LEAST_SHARE * whole):
            masks.append(mask)
    return ObjectWindow(np.asarray(small), np.array(masks, bool).reshape(len(masks), side, side))


def _area(polygon: NDArray[np.float64]) -> float:
    """Return the area of a polygon that does not cross itself."""
    x, y = polygon.T
    return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)
