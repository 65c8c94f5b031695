"""Small generated scenes: one land cover, a few objects, complete truth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rscovlm.geometry import Frame, Objects
from rscovlm.scenes.objects import CLASSES, COLOURS, SceneObject, as_objects, draw_object, touching
from rscovlm.scenes.shapes import SHAPES
from rscovlm.scenes.textures import COVERS, Texture, textures

HABITAT: dict[str, dict[str, float]] = {
    "field": {"plane": 1, "vehicle": 1, "tank": 1, "court": 1},
    "forest": {"plane": 1, "vehicle": 1, "tank": 1, "court": 1},
    "desert": {"plane": 1, "vehicle": 1, "tank": 1},
    "water": {"ship": 3, "plane": 1},
    "urban": {"vehicle": 1, "tank": 1, "court": 2},
    "airfield": {"plane": 3, "vehicle": 1, "tank": 1},
    "harbour": {"ship": 3, "vehicle": 1, "tank": 1},
}
"""Which classes a land cover holds, and in which proportion."""
LENGTHS = {"plane": (0.0, 1.0), "ship": (0.1, 1.0), "vehicle": (0.0, 0.6), "tank": (0.0, 0.7), "court": (0.1, 1.0)}
"""Between which shares of the way from the least to the largest length the objects of a class are."""
_MARGIN = 1.5
_GAP = 3.0
_TRIES = 16
_FRESH_STARTS = 8


@dataclass(frozen=True)
class SceneConfig:
    """What generated scenes hold.

    Attributes:
        size: Side of the scene in pixels.
        min_objects: Least number of objects; 0 lets scenes be empty.
        max_objects: Largest number of objects.
        min_length: Least length of an object in pixels.
        max_length: Largest length of an object in pixels.
        classes: Classes of object to draw from.
        colours: Colours to draw from.
        covers: Land covers, which are the scene classes.
        plausible: Put ships on water, planes on dry land and the like; False puts anything anywhere.
        texture_seed: Which set of textures; scenes for training and for testing use different ones.

    Raises:
        ValueError: If a value is out of range or a name unknown.

    Examples:
        >>> SceneConfig(classes=("plane", "ship", "tank"), max_objects=1).size
        84
    """

    size: int = 84
    min_objects: int = 0
    max_objects: int = 3
    min_length: float = 24.0
    max_length: float = 44.0
    classes: tuple[str, ...] = CLASSES
    colours: tuple[str, ...] = tuple(COLOURS)
    covers: tuple[str, ...] = COVERS
    plausible: bool = True
    texture_seed: int = 0

    def __post_init__(self) -> None:
        for name, values, known in (
            ("classes", self.classes, CLASSES),
            ("colours", self.colours, COLOURS),
            ("covers", self.covers, COVERS),
        ):
            unknown = [v for v in values if v not in known]
            if unknown or not values:
                raise ValueError(f"{name}={values!r}: choose one or more of {', '.join(known)}")
        if not 0 <= self.min_objects <= self.max_objects:
            raise ValueError(f"{self.min_objects} to {self.max_objects} objects: need 0 <= min_objects <= max_objects")
        if self.size < 32:
            raise ValueError(f"a scene of {self.size} pixels is too small: use 32 or more")
        if not 4 <= self.min_length <= self.max_length <= 0.62 * self.size:
            raise ValueError(
                f"objects {self.min_length} to {self.max_length} pixels long in a scene of {self.size}: need "
                f"4 <= min_length <= max_length <= 0.62 * size, so that they fit at any angle"
            )
        barren = [c for c in self.covers if self.plausible and not set(HABITAT[c]) & set(self.classes)]
        if barren and self.min_objects:
            raise ValueError(
                f"land covers {barren} hold none of the classes {self.classes}: drop them, add classes, "
                f"set min_objects=0 or plausible=False"
            )


@dataclass(frozen=True, eq=False)
class Scene:
    """A picture and everything there is to know about it.

    Attributes:
        scene_class: The land cover.
        objects: The objects, in the order they were drawn; they do not overlap and lie wholly inside.
        background: RGB picture of the ground alone.
        water: (height, width) bool, where the ground is water.
        sun: (dx, dy) by which shadows are displaced, in pixels.
        image: RGB picture.
    """

    scene_class: str
    objects: tuple[SceneObject, ...]
    background: Image.Image
    water: NDArray[np.bool_]
    sun: tuple[float, float]
    image: Image.Image

    def count(self, label: str | None = None, colour: str | None = None) -> int:
        """Number of objects of a class, of a colour, of both, or of all."""
        return len(self.find(label, colour))

    def find(self, label: str | None = None, colour: str | None = None) -> list[int]:
        """Positions in ``objects`` of those with this class and this colour (None: any)."""
        return [
            i
            for i, o in enumerate(self.objects)
            if (label is None or o.label == label) and (colour is None or o.colour == colour)
        ]

    @property
    def frame(self) -> Frame:
        """The scene's pixel grid."""
        return Frame(*self.image.size)

    @property
    def truth(self) -> Objects:
        """All objects as labelled quads on the scene's frame."""
        return as_objects(self.objects, self.frame)

    def mask(self, index: int) -> NDArray[np.bool_]:
        """(height, width) True on the object, False on its shadow."""
        return self.objects[index].mask(*self.image.size)

    def masks(self) -> NDArray[np.bool_]:
        """(n, height, width) masks of all objects."""
        empty = np.zeros((0, *self.water.shape), bool)
        return np.stack([self.mask(i) for i in range(len(self.objects))]) if self.objects else empty


def render(background: Image.Image, objects: Sequence[SceneObject], sun: tuple[float, float]) -> Image.Image:
    """Return the ground with the objects drawn on it, in order."""
    image = background.copy()
    for thing in objects:
        draw_object(image, thing, sun)
    return image


def make_scene(rng: np.random.Generator | int, config: SceneConfig | None = None) -> Scene:
    """Make a scene; the same seed and configuration give the same bytes.

    Args:
        rng: A random generator, which advances, or a seed.
        config: What scenes hold; the default has all classes on all land covers, 84 pixels a side.

    Raises:
        ValueError: If ``min_objects`` objects found no place in a hundred attempts.

    Examples:
        >>> scene = make_scene(7)
        >>> scene.image.size
        (84, 84)
        >>> scene.count() == len(scene.objects)
        True
    """
    config = config or SceneConfig()
    rng = np.random.default_rng(rng)
    cover = config.covers[int(rng.integers(len(config.covers)))]
    wanted = int(rng.integers(config.min_objects, config.max_objects + 1))
    for attempt in range(100):
        ground = _ground(rng, cover, config)
        turn = rng.uniform(0, 2 * math.pi)
        sun = (2.4 * math.cos(turn), 2.4 * math.sin(turn))
        objects = place_objects(rng, cover, ground.water, wanted, config)
        if len(objects) == wanted or (attempt >= _FRESH_STARTS and len(objects) >= config.min_objects):
            background = Image.fromarray(ground.image)
            return Scene(cover, tuple(objects), background, ground.water, sun, render(background, objects, sun))
    raise ValueError(
        f"no place for {config.min_objects} objects of {config.min_length} pixels in a {cover} scene of {config.size}: "
        f"lower min_objects or min_length, or enlarge size"
    )


def _ground(rng: np.random.Generator, cover: str, config: SceneConfig) -> Texture:
    """A random crop of a texture in its own light."""
    bank = textures(cover, config.texture_seed)
    texture = bank[int(rng.integers(len(bank)))]
    n = texture.image.shape[0]
    x, y = (int(v) for v in rng.integers(0, n - config.size + 1 if config.size <= n else n, 2))
    part = texture.crop(x, y, config.size, int(rng.integers(8)))
    light = rng.normal(0, 1, 4)
    shift = 7 * float(light[3]) + 2.5 * light[:3]
    image = np.clip(part.image + np.clip(shift, -20, 20).astype(np.int16), 0, 255).astype(np.uint8)
    return Texture(image, np.ascontiguousarray(part.water))


def place_objects(
    rng: np.random.Generator,
    cover: str,
    water: NDArray[np.bool_],
    count: int,
    config: SceneConfig,
    *,
    beside: Sequence[SceneObject] = (),
) -> list[SceneObject]:
    """Find places for up to ``count`` objects where they touch neither each other nor those ``beside`` them."""
    weights = HABITAT[cover] if config.plausible else dict.fromkeys(CLASSES, 1.0)
    names = [c for c in config.classes if c in weights]
    if not names:
        return []
    shares = np.cumsum([weights[c] for c in names])
    placed: list[SceneObject] = []
    for _ in range(count):
        label = names[int(np.searchsorted(shares, rng.uniform(0, shares[-1]), side="right"))]
        for _ in range(_TRIES):
            thing = _candidate(rng, label, config)
            if any(touching(thing, other, _GAP) for other in (*beside, *placed)):
                continue
            if not config.plausible or _suits(thing, cover, water):
                placed.append(thing)
                break
        else:
            break
    return placed


def _candidate(rng: np.random.Generator, label: str, config: SceneConfig) -> SceneObject:
    """An object of random size, heading, colour and place, wholly inside the scene."""
    low, high = LENGTHS[label]
    spread = config.max_length - config.min_length
    draw = rng.uniform(0, 1, 5)
    length = config.min_length + spread * (low + (high - low) * float(draw[0]))
    variant = int(draw[1] * len(SHAPES[label]))
    shape = SHAPES[label][variant]
    width = length if shape.round else length * shape.width * (0.95 + 0.1 * float(draw[2]))
    angle = 0.0 if shape.round else float(draw[3]) * 2 * math.pi
    colour = config.colours[int(draw[4] * len(config.colours))]
    cos, sin = abs(math.cos(angle)), abs(math.sin(angle))
    reach = np.array([cos * length + sin * width, sin * length + cos * width]) / 2 + _MARGIN
    x, y = (float(v) for v in rng.uniform(reach, config.size - reach))
    shift = rng.integers(-6, 7, 3) + int(rng.integers(-12, 9))
    red, green, blue = (int(v) for v in np.clip(COLOURS[colour] + shift, 0, 255))
    return SceneObject(label, colour, (x, y), length, width, angle, variant, (red, green, blue))


def _suits(thing: SceneObject, cover: str, water: NDArray[np.bool_]) -> bool:
    """True if the ground under every corner is what the object needs; only harbours have both kinds."""
    if cover != "harbour":
        return True
    corners = np.concatenate([thing.quad, [thing.centre]]).astype(int)
    wet = water[corners[:, 1], corners[:, 0]]
    return bool(wet.all()) if thing.label == "ship" else not wet.any()
