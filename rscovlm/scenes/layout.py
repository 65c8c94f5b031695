"""The plan of a large scene, from which any window can be drawn at any coarseness."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from copy import copy
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rscovlm.scenes import districts
from rscovlm.scenes.city import TOWN, pieces
from rscovlm.scenes.drawing import Drawing
from rscovlm.scenes.land import Land, paints, town_images
from rscovlm.scenes.objects import COLOURS, SceneObject, draw_object
from rscovlm.scenes.pad import MARKING, Pad, place_pad
from rscovlm.scenes.placing import Placer
from rscovlm.scenes.terrain import Local, Terrain

SUN = (2.0, 2.0)
"""Displacement of shadows in pixels."""
MAX_SIDE = 20_000
MIN_SIDE = 2048
STEPS = (1, 2, 4, 8, 16, 32)


@dataclass(frozen=True)
class LayoutConfig:
    """What a large scene holds.

    Attributes:
        width: Width in pixels, 2048 to 20,000.
        height: Height in pixels, 2048 to 20,000.
        min_length: Least length of an ordinary object in pixels.
        max_length: Largest length of an ordinary object in pixels.
        colours: Colours to draw from.
        giants: Also place airliners and freighters, several times as long.
        pad: Place a white pad with a marking, as zoom scenes have.
        marking: Width of that marking where the shorter side is 336 pixels.
        worn: Stains on the pad in grey levels.
        texture_seed: Which set of textures.

    Raises:
        ValueError: If a side or a length is out of range.
    """

    width: int = 8192
    height: int = 8192
    min_length: float = 24.0
    max_length: float = 44.0
    colours: tuple[str, ...] = tuple(COLOURS)
    giants: bool = True
    pad: bool = True
    marking: float = MARKING
    worn: float = 0.0
    texture_seed: int = 0

    def __post_init__(self) -> None:
        for name, side in (("width", self.width), ("height", self.height)):
            if not MIN_SIDE <= side <= MAX_SIDE:
                raise ValueError(f"{name} is {side}; a large scene has sides of {MIN_SIDE} to {MAX_SIDE} pixels")
        if not 8 <= self.min_length <= self.max_length <= 46:
            raise ValueError(
                f"objects of {self.min_length} to {self.max_length} pixels: need 8 <= min_length <= max_length <= 46, "
                f"the room between parking stands"
            )
        unknown = [c for c in self.colours if c not in COLOURS]
        if unknown or not self.colours:
            raise ValueError(f"colours={self.colours!r}: choose one or more of {', '.join(COLOURS)}")


class SceneLayout:
    """Everything in a large scene and where it is; nothing is drawn until a window is asked for.

    Args:
        seed: Same seed and configuration, same pixels.
        config: Size and contents.

    Attributes:
        width: Width in pixels.
        height: Height in pixels.
        objects: All objects, in pixels of the scene.
        pad: The marked pad, if it was wanted.
        areas: (x, y) of the middle of each district, by name.

    Examples:
        >>> layout = SceneLayout(3, LayoutConfig(2048, 2048))
        >>> layout.render(0, 0, 512, 256, step=4).size
        (128, 64)
    """

    def __init__(self, seed: int, config: LayoutConfig | None = None) -> None:
        config = config or LayoutConfig()
        rng = np.random.default_rng([seed, 4242])
        self.width, self.height = config.width, config.height
        self._texture_seed = config.texture_seed
        side = min(self.width, self.height)
        self._terrain = terrain = Terrain(rng, self.width, self.height)
        airfield = districts.Airfield(rng, terrain, side)
        harbour = districts.Harbour(rng, terrain, side)
        harbour.shape(terrain)
        flat = terrain.inside(airfield.local, airfield.box, 0.03 * side)
        np.maximum(terrain.elevation, 0.7 * flat + (1 - flat) * terrain.elevation, out=terrain.elevation)
        self._town = pieces(config.texture_seed)
        self._plan, middle = districts.town_plan(rng, terrain, side, 1 - airfield.along, len(self._town))
        self._plan[_covered(self._plan, airfield, harbour)] = -1
        self._roads, self._built = Drawing(), Drawing()
        hub = airfield.local.point(0, airfield.apron[1] + 150)
        quay = harbour.local.point(0, -harbour.yard - 60)
        ways = [
            [hub, middle, quay],
            [
                middle,
                terrain.at(1 - airfield.along, 0.8),
                terrain.at(1 - airfield.along + float(rng.uniform(-0.1, 0.1)), 1.02),
            ],
            [middle, terrain.at(0.5 + (0.5 - airfield.along) * 3.4, float(rng.uniform(0.4, 0.6)))],
        ]
        for way in ways:
            districts.road(self._roads, way)
        airfield.draw(self._built)
        harbour.draw(self._built)
        self.areas = {
            "airfield": airfield.local.origin,
            "harbour": harbour.local.origin,
            "town": middle,
        }
        placer = Placer(rng, (self.width, self.height), (config.min_length, config.max_length), config.colours)
        airfield.fill(placer, config.giants)
        harbour.fill(placer, terrain, config.giants)
        districts.fill_town(rng, placer, self._plan, self._town)
        for way in ways:
            districts.fill_road(rng, placer, way, self._open_road(airfield, harbour))
        self._sail(rng, placer, harbour)
        self.pad = self._choose_pad(rng, config) if config.pad else None
        if self.pad:
            placer.drop(self.pad.box)
        self.objects = tuple(placer.objects)
        self._near = _buckets(self.objects)

    def _open_road(
        self, airfield: districts.Airfield, harbour: districts.Harbour
    ) -> Callable[[tuple[float, float]], bool]:
        """Tell whether a main road can be seen at a pixel: on land and outside the districts."""

        def visible(point: tuple[float, float]) -> bool:
            row, column = int(point[1]) // TOWN, int(point[0]) // TOWN
            rows, columns = self._plan.shape
            if not (0 <= row < rows and 0 <= column < columns):
                return False
            around = self._plan[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
            free = (around < 0).all() and not airfield.near(point, 30) and not harbour.near(point, 30)
            return bool(free and self._terrain.elevation_at(*point) > 0.05)

        return visible

    def _sail(self, rng: np.random.Generator, placer: Placer, harbour: districts.Harbour) -> None:
        """Put ships on open water, some under way with a wake."""
        count = int(self.width * self.height / 700_000) + 6
        for _ in range(count):
            x, y = float(rng.uniform(60, self.width - 60)), float(rng.uniform(60, self.height - 60))
            heading = float(rng.uniform(0, 2 * math.pi))
            around = [self._terrain.elevation_at(x + dx, y + dy) for dx in (-90, 0, 90) for dy in (-90, 0, 90)]
            if max(around) > -0.2 or harbour.near((x, y), 120):
                continue
            ship = placer.put("ship", (x, y), heading)
            if ship and rng.random() < 0.6:
                local = Local((x, y), heading)
                wake = local.points(
                    [
                        (-ship.length * 0.45, 0),
                        (-ship.length * 2.6, -15),
                        (-ship.length * 2.3, 0),
                        (-ship.length * 2.6, 15),
                    ]
                )
                self._built.add(wake, (104, 140, 152))

    def _choose_pad(self, rng: np.random.Generator, config: LayoutConfig) -> Pad:
        """Of a few places, the one furthest from the districts."""
        places = [place_pad(rng, self.width, self.height, config.marking, config.worn) for _ in range(12)]
        return max(places, key=lambda p: min(math.dist(p.centre, area) for area in self.areas.values()))

    def without(self, places: Collection[int]) -> SceneLayout:
        """Return the same place at a date at which some objects are not there.

        Args:
            places: Positions of these in ``objects``.

        Examples:
            >>> layout = SceneLayout(3, LayoutConfig(2048, 2048))
            >>> len(layout.objects) - len(layout.without({0, 2}).objects)
            2
        """
        other = copy(self)
        other.objects = tuple(thing for place, thing in enumerate(self.objects) if place not in places)
        other._near = _buckets(other.objects)
        return other

    def render(self, x1: int, y1: int, x2: int, y2: int, *, step: int = 1) -> Image.Image:
        """Draw a window.

        Args:
            x1: First column, a multiple of ``step``.
            y1: First row, a multiple of ``step``.
            x2: Column after the last one.
            y2: Row after the last one.
            step: Pixels of the scene per pixel of the picture, one of ``STEPS``. At 1 the picture is the scene itself,
                whatever the window; coarser ones are sketches of it.

        Raises:
            ValueError: If the window is empty or leaves the scene, or the step is not one of ``STEPS``.
        """
        if step not in STEPS:
            raise ValueError(f"step={step}; choose one of {STEPS}")
        if not (0 <= x1 < x2 <= self.width and 0 <= y1 < y2 <= self.height) or x1 % step or y1 % step:
            raise ValueError(
                f"window {(x1, y1, x2, y2)} at step {step}: need 0 <= x1 < x2 <= {self.width}, "
                f"0 <= y1 < y2 <= {self.height}, and x1, y1 multiples of the step"
            )
        size = (-(-(x2 - x1) // step), -(-(y2 - y1) // step))
        view = Land(self._terrain, paints(self._texture_seed, step), (x1, y1), size, step)
        image = view.land()
        image = self._roads.paint(image, (x1, y1), step, view.texture)
        self._lay_town(image, x1, y1, step)
        image = self._built.paint(image, (x1, y1), step, view.texture)
        image = view.lit(image)
        self._draw_objects(image, x1, y1, step)
        if self.pad:
            self.pad.scaled(step).draw(image, (x1 // step, y1 // step))
        return image

    def _lay_town(self, image: Image.Image, x1: int, y1: int, step: int) -> None:
        rows, columns = self._plan.shape
        images = town_images(self._texture_seed, step)
        for row in range(y1 // TOWN, min((y1 + image.height * step - 1) // TOWN + 1, rows)):
            for column in range(x1 // TOWN, min((x1 + image.width * step - 1) // TOWN + 1, columns)):
                if self._plan[row, column] >= 0:
                    place = ((column * TOWN - x1) // step, (row * TOWN - y1) // step)
                    image.paste(images[self._plan[row, column]], place)

    def _draw_objects(self, image: Image.Image, x1: int, y1: int, step: int) -> None:
        found: set[int] = set()
        for row in range(y1 // _BUCKET, (y1 + image.height * step) // _BUCKET + 1):
            for column in range(x1 // _BUCKET, (x1 + image.width * step) // _BUCKET + 1):
                found.update(self._near.get((row, column), ()))
        for i in sorted(found):
            thing = self.objects[i]
            if step == 1:
                draw_object(image, thing, SUN, (x1, y1))
            else:
                small = thing.scaled(1 / step)
                draw_object(image, small, (SUN[0] / step, SUN[1] / step), (x1 // step, y1 // step))


_BUCKET = 1024


def _buckets(objects: tuple[SceneObject, ...]) -> dict[tuple[int, int], list[int]]:
    """Which objects reach into each square of the scene."""
    near: dict[tuple[int, int], list[int]] = {}
    for i, thing in enumerate(objects):
        low, high = thing.quad.min(axis=0) - 4, thing.quad.max(axis=0) + 4
        for row in range(int(low[1]) // _BUCKET, int(high[1]) // _BUCKET + 1):
            for column in range(int(low[0]) // _BUCKET, int(high[0]) // _BUCKET + 1):
                near.setdefault((row, column), []).append(i)
    return near


def _covered(plan: NDArray[np.int16], airfield: districts.Airfield, harbour: districts.Harbour) -> NDArray[np.bool_]:
    """Squares of town that would lie under airfield or harbour."""
    y, x = ((g + 0.5) * TOWN for g in np.mgrid[0 : plan.shape[0], 0 : plan.shape[1]].astype(float))
    covered = np.zeros(plan.shape, bool)
    for place in (airfield, harbour):
        u, v = place.local.undo(x, y)
        x1, y1, x2, y2 = place.box
        reach = TOWN * 0.75
        covered |= (u > x1 - reach) & (u < x2 + reach) & (v > y1 - reach) & (v < y2 + reach)
    return covered
