"""Tiles of generated large scenes as records, cut as `detect` cuts them: objects at borders, dense rows, empty ground."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from rscovlm.codec import Codec
from rscovlm.codec.dialect import Dialect
from rscovlm.data.tiles import LEAST, Foreground
from rscovlm.geometry.overlaps import quad_area
from rscovlm.geometry.tiling import tiles
from rscovlm.geometry.window import Window, WindowLike
from rscovlm.mixtures.renderer import Sample
from rscovlm.mixtures.scene_records import Spatial, image_of, plain_renderer
from rscovlm.processing.resolution import PixelBudget
from rscovlm.rasters import Raster, open_image
from rscovlm.records import Annotation, Record
from rscovlm.scenes import LayoutConfig, SceneLayout
from rscovlm.scenes.layout import MIN_SIDE
from rscovlm.tasks.detect import read_tile

PART = 512
"""Side of the parts of large scenes that are drawn and cut into tiles, in pixels."""

PLACES = ("harbour", "airfield", "town", "harbour", "airfield", "anywhere")
"""Where parts lie, in turn: around a district, or anywhere."""

_TRIES = 50


@dataclass(frozen=True)
class Part:
    """A part of a large scene, drawn.

    Attributes:
        raster: Its picture.
        objects: All objects that reach into it, in its pixels.
    """

    raster: Raster
    objects: tuple[Annotation, ...]

    @cached_property
    def areas(self) -> NDArray[np.float64]:
        """(n,) areas of the objects in pixels."""
        return quad_area(np.array([item.box for item in self.objects]).reshape(-1, 8))

    @cached_property
    def _foreground(self) -> Foreground:
        return Foreground(self.objects)

    def reaching(self, window: WindowLike) -> list[Annotation]:
        """Return the objects of which a tile holds anything."""
        return [self.objects[row] for row in self._foreground.shares(window)[0]]

    def held(self, window: WindowLike) -> list[Annotation]:
        """Return the objects that a tile holds, as the tiles of data sets do: at least 0.7 of their area."""
        near, shares = self._foreground.shares(window)
        return [self.objects[row] for row in near[shares >= LEAST]]


@dataclass(frozen=True)
class SceneTiles:
    """Draws a tile of a large scene and asks for the objects of some classes.

    Attributes:
        dialect: How the model writes boxes and is asked; a codec stands for the dialect of its name.
        budget: Pixels the model sees.
        classes: Classes asked for.
        sides: Sides of tiles in pixels of the scene; those above the budget are shown smaller.
        kind: Box kind of the answer.
        subsets: Share of tiles of which some of the classes are asked for only.
        empty: Share of tiles without any of the classes.
        most: Largest number of objects in an answer; tiles with more are not asked about.
        parts: Number of parts to cut tiles from.
        seed: Of the large scenes.
        textures: Texture seeds to draw from.
        places: Where the parts lie, in turn.
    """

    dialect: Dialect | Codec
    budget: PixelBudget
    classes: tuple[str, ...] = ("plane", "ship", "tank")
    sides: tuple[int, ...] = (84, 84, 84, 100, 116, 132, 150, 168)
    kind: Spatial = "quad"
    subsets: float = 0.4
    empty: float = 0.5
    most: int = 12
    parts: int = 200
    seed: int = 5000
    textures: tuple[int, ...] = (0, 1, 2, 3)
    places: tuple[str, ...] = PLACES

    def __call__(self, rng: np.random.Generator) -> Sample:
        """Make the next sample from a generator."""
        return plain_renderer(self.dialect, self.budget, self.kind)(self.record(rng), rng)

    def record(self, rng: np.random.Generator) -> Record:
        """Draw a tile and return what is known about it.

        Raises:
            ValueError: No tile that suits was found; there are too few parts, or none with the classes.
        """
        want_empty = rng.random() < self.empty
        for _ in range(_TRIES):
            part = self.part(int(rng.integers(self.parts)))
            side = int(self.sides[int(rng.integers(len(self.sides)))])
            names = self.asked(rng)
            window = _pick_window(rng, part, names, side, want_empty)
            if window is None:
                continue
            objects = [item for item in part.held(window) if item.label in names]
            if len(objects) <= self.most and bool(objects) != want_empty:
                return tile_record(part, window, objects, names, self.budget, self.kind)
        raise ValueError(f"no tile of {self.sides} pixels in {self.parts} parts suits {self.classes}; give more parts")

    def part(self, number: int) -> Part:
        """Draw one of the parts."""
        return draw_part(self.seed + number, number, self.textures[number % len(self.textures)], self.places)

    def asked(self, rng: np.random.Generator) -> tuple[str, ...]:
        """Return the classes to ask for: all, or one or more of them."""
        if len(self.classes) == 1 or rng.random() >= self.subsets:
            return self.classes
        count = int(rng.integers(1, len(self.classes)))
        return tuple(sorted(str(name) for name in rng.permutation(self.classes)[:count]))


@lru_cache(maxsize=512)
def draw_part(seed: int, number: int, texture_seed: int, places: tuple[str, ...] = PLACES) -> Part:
    """Draw a part of a large scene, around one of its districts.

    Args:
        seed: Of the scene.
        number: Counts through the districts and sides of scenes.
        texture_seed: Which set of textures.
        places: What the districts are.
    """
    rng = np.random.default_rng([seed, 59])
    side = (MIN_SIDE, 8192, 4096, 8192)[number // len(places) % 4]
    layout = SceneLayout(seed, LayoutConfig(side, side, pad=False, texture_seed=texture_seed))
    place = places[number % len(places)]
    middle = np.array(layout.areas[place]) if place in layout.areas else rng.uniform(0, side, 2)
    spread = 0.05 * side if place in layout.areas else 0
    x, y = (int(v) for v in np.clip(middle + rng.normal(0, spread, 2) - PART / 2, 0, side - PART))
    image = layout.render(x, y, x + PART, y + PART)
    near = [thing.moved(-x, -y) for thing in layout.objects]
    objects = tuple(
        Annotation(tuple(thing.quad.ravel().tolist()), thing.label, "quad")
        for thing in near
        if (thing.quad.max(axis=0) > 0).all() and (thing.quad.min(axis=0) < PART).all()
    )
    return Part(open_image(image), objects)


def _pick_window(
    rng: np.random.Generator, part: Part, classes: Sequence[str], side: int, empty: bool
) -> WindowLike | None:
    """Pick one of the tiles that `detect` cuts, around an object, so that dense ones come more often.

    Half of the empty ones are around an object of another class, the large before the small: what may be taken for one.
    """
    windows = list(tiles(part.raster.width, part.raster.height, side, int(rng.integers(side // 5, side // 2 + 1))))
    wanted = np.array([item.label in classes for item in part.objects], bool)
    weights = np.where(wanted, 0.0, part.areas) if empty else wanted.astype(float)
    if empty and (rng.random() < 0.5 or not weights.any()):
        return windows[int(rng.integers(len(windows)))]
    if not weights.any():
        return None
    # A point of the object, not its middle alone: a tile shows some part of a large one.
    corners = np.array(part.objects[int(rng.choice(len(weights), p=weights / weights.sum()))].box).reshape(4, 2)
    x, y = rng.dirichlet(np.ones(4)) @ corners
    around = [window for window in windows if window[0] <= x < window[2] and window[1] <= y < window[3]]
    return around[int(rng.integers(len(around)))] if around else None


def tile_record(
    part: Part,
    window: WindowLike,
    objects: Sequence[Annotation],
    classes: Sequence[str],
    budget: PixelBudget,
    kind: Spatial,
) -> Record:
    """Return a detection record of a tile as the model sees it: read and resized as `detect` does, boxes clipped to it."""
    picture, _ = read_tile(part.raster, window, budget)
    scale = np.array(picture.size) / np.array(Window(*window).size)
    shown = []
    for item in objects:
        quad: NDArray[np.float64] = (np.array(item.box).reshape(4, 2) - window[:2]) * scale
        quad = np.clip(quad, 0, picture.size)
        values = quad.ravel() if kind == "quad" else np.concatenate([quad.min(axis=0), quad.max(axis=0)])
        shown.append(Annotation(tuple(values.tolist()), item.label, kind))
    return Record(
        "tile", "scenes", "train", "detection", (image_of(picture),), objects=tuple(shown), categories=tuple(classes)
    )
