"""What people built in a large scene: airfield, harbour, town, roads, and the objects that belong there."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from rscovlm.scenes.city import STREET, TOWN, Piece
from rscovlm.scenes.drawing import RGB, Drawing
from rscovlm.scenes.placing import Placer
from rscovlm.scenes.terrain import Local, Terrain

_ASPHALT: RGB = (66, 68, 72)
_WHITE: RGB = (206, 206, 200)
_YELLOW: RGB = (206, 176, 60)
_SHADOW: RGB = (52, 54, 52)
_DULL: tuple[RGB, ...] = ((122, 92, 80), (92, 106, 116), (112, 116, 96), (150, 146, 138), (96, 88, 84))
_HALLS: tuple[RGB, ...] = ((158, 156, 150), (136, 140, 144), (148, 138, 124))


def _clip(value: float, least: float, most: float) -> float:
    return min(max(value, least), most)


class Airfield:
    """A runway, a taxiway and an apron; local x along the runway, y towards the apron.

    Attributes:
        local: Its coordinates.
        box: Local x1 y1 x2 y2 of its grounds.
    """

    def __init__(self, rng: np.random.Generator, terrain: Terrain, side: int) -> None:
        self.rng = rng
        self.length = _clip(0.5 * side, 640, 5200)
        self.apron = (230.0, 230.0 + _clip(0.07 * side, 150, 560))
        along = 0.34 if rng.random() < 0.5 else 0.66
        turn = float(rng.uniform(-0.22, 0.22)) + (0.0 if rng.random() < 0.5 else math.pi)
        self.local = Local(terrain.at(along, 0.72), terrain.home.angle + turn)
        self.along = along
        self.box = (-self.length / 2 - 90, -140.0, self.length / 2 + 90, self.apron[1] + 190)

    def draw(self, drawing: Drawing) -> None:
        """Paint the grounds."""
        at, half = self.local, self.length / 2
        drawing.add(at.box(*self.box), "grass")
        for x in (-0.47, -0.16, 0.16, 0.47):
            drawing.add(at.box(x * self.length - 22, 0, x * self.length + 22, 190), _ASPHALT)
        for x in (-0.16, 0.16):
            drawing.add(at.box(x * self.length - 22, 170, x * self.length + 22, 250), _ASPHALT)
        drawing.add(at.box(-half, -44, half, 44), "asphalt")
        drawing.add(at.box(-0.47 * self.length - 22, 150, 0.47 * self.length + 22, 190), _ASPHALT)
        drawing.line(at.point(-0.47 * self.length, 170), at.point(0.47 * self.length, 170), 2.5, _YELLOW)
        for y in (-40, 40):
            drawing.line(at.point(-half + 6, y), at.point(half - 6, y), 3, _WHITE)
        drawing.dashes(at.point(-half + 130, 0), at.point(half - 130, 0), 3.5, 60, 40, _WHITE)
        for end in (-1, 1):
            for k in (-32, -23, -14, -5, 5, 14, 23, 32):
                x = end * (half - 14)
                drawing.line(at.point(x, k), at.point(x - end * 62, k), 5, _WHITE)
            for k in (-20, 20):
                x = end * (half - 190)
                drawing.line(at.point(x, k), at.point(x - end * 70, k), 11, _WHITE)
        self._apron(drawing)

    def _apron(self, drawing: Drawing) -> None:
        at, (top, bottom) = self.local, self.apron
        half = 0.3 * self.length
        drawing.add(at.box(-half, top, half, bottom), "concrete")
        for k in range(1, int(2 * half / 48)):
            drawing.line(at.point(-half + 48 * k, top), at.point(-half + 48 * k, bottom), 1, (126, 126, 121))
        for k in range(1, int((bottom - top) / 48)):
            drawing.line(at.point(-half, top + 48 * k), at.point(half, top + 48 * k), 1, (126, 126, 121))
        drawing.line(at.point(-half + 20, top + 24), at.point(half - 20, top + 24), 2.5, _YELLOW)
        x = -half
        while x < half - 120:
            wide = float(self.rng.uniform(110, 200))
            hall(drawing, at, (x + 12, bottom + 16, min(x + wide, half) - 12, bottom + 110), self.rng)
            x += wide
        drawing.add(at.box(half + 30, top, half + 250, top + 160), (140, 136, 128))

    def fill(self, placer: Placer, giants: bool) -> None:
        """Park planes, tanks and vehicles."""
        at, (top, bottom), rng = self.local, self.apron, self.rng
        half = 0.3 * self.length
        y = top + 76.0
        if giants and bottom - top > 240:
            for x in np.arange(-half + 110, half - 80, 170):
                if rng.random() < 0.55:
                    placer.put("airliner", at.point(float(x), y + 36), at.angle + math.pi / 2)
            y += 150
        while y < bottom - 40:
            for x in np.arange(-half + 40, half - 30, 66):
                if rng.random() < 0.62:
                    flip = math.pi if rng.random() < 0.2 else 0.0
                    placer.put("plane", at.point(float(x), y), at.angle + math.pi / 2 + flip)
            y += 84
        for x in np.arange(-half + 30, half - 30, 90):
            if rng.random() < 0.3:
                placer.put("vehicle", at.point(float(x), bottom - 14), at.angle)
        for column in range(3):
            for row in range(2):
                placer.put("tank", at.point(half + 75 + 64 * column, top + 50 + 62 * row), 0.0)
        for x, y in ((-0.33, 0.0), (0.05, 170.0), (0.41, 170.0)):
            if rng.random() < 0.8:
                placer.put("plane", at.point(x * self.length, y), at.angle)

    def near(self, point: tuple[float, float], reach: float) -> bool:
        """True if a pixel of the scene is on the grounds or within ``reach`` pixels of them."""
        return self.local.within(point, self.box, reach)


class Harbour:
    """A yard with piers; local x along the coast, y seaward, 0 at the quay.

    Attributes:
        local: Its coordinates.
        box: Local x1 y1 x2 y2 of yard and piers.
    """

    def __init__(self, rng: np.random.Generator, terrain: Terrain, side: int) -> None:
        self.rng = rng
        self.half = _clip(0.16 * side, 200, 1400)
        self.yard = _clip(0.055 * side, 120, 460)
        self.pier = _clip(0.075 * side, 150, 620)
        self.local = Local(terrain.at(float(rng.uniform(0.3, 0.7)), 0.22), terrain.home.angle)
        self.box = (-self.half - 10, -self.yard - 120, self.half + 10, self.pier + 40)
        self.berths = np.arange(-self.half + 60, self.half - 20, 280.0)

    def shape(self, terrain: Terrain) -> None:
        """Straighten the coast where the quay is."""
        _, v = self.local.undo(terrain.x, terrain.y)
        x1, _, x2, _ = self.box
        weight = terrain.inside(self.local, (x1, -self.yard - 60, x2, self.pier + 90), 0.05 * terrain.reach[1] + 60)
        wanted = np.where(v < 0, 0.3, -0.45)
        terrain.elevation += (weight * (wanted - terrain.elevation)).astype(np.float32)

    def draw(self, drawing: Drawing) -> None:
        """Paint quay, piers, containers and sheds."""
        at, rng = self.local, self.rng
        for x in self.berths:
            drawing.add(at.box(x - 38, -6, x + 38, self.pier + 6), (20, 46, 60))
        drawing.add(at.box(-self.half - 4, -self.yard, self.half + 4, 8), (20, 46, 60))
        for x in self.berths:
            drawing.add(at.box(x - 34, -10, x + 34, self.pier), "concrete")
            for edge in (-32, 32):
                drawing.line(at.point(x + edge, 2), at.point(x + edge, self.pier - 2), 2, (196, 178, 92))
            drawing.line(at.point(x, 0), at.point(x, self.pier - 12), 1.5, (100, 96, 92))
        drawing.add(at.box(-self.half, -self.yard, self.half, 2), "concrete")
        drawing.line(at.point(-self.half, -24), at.point(self.half, -24), 2, (100, 96, 92))
        drawing.line(at.point(-self.half, -38), at.point(self.half, -38), 2, (100, 96, 92))
        for x in np.arange(-self.half + 250, self.half - 110, 128.0):
            for y in np.arange(-self.yard + 20, -104, 84.0):
                if rng.random() < 0.72:
                    self._containers(drawing, float(x), float(y))
        for x in np.arange(-self.half + 30, self.half - 150, 210.0):
            hall(drawing, at, (float(x), -self.yard - 96, float(x) + 170, -self.yard - 18), rng)

    def _containers(self, drawing: Drawing, x: float, y: float) -> None:
        for column in range(4):
            for row in range(4):
                left, top = x + 24 * column, y + 12 * row
                drawing.add(self.local.box(left + 2, top + 2, left + 24, top + 12), (84, 82, 80))
                drawing.add(self.local.box(left, top, left + 22, top + 10), _DULL[int(self.rng.integers(len(_DULL)))])

    def fill(self, placer: Placer, terrain: Terrain, giants: bool) -> None:
        """Moor ships, set tanks and vehicles."""
        at, rng = self.local, self.rng
        for x in self.berths:
            for sign in (-1, 1):
                y = 40.0
                if giants and self.pier > 330 and rng.random() < 0.4:
                    centre = at.point(x + sign * 78, 160 + 0.3 * (self.pier - 330))
                    placer.put("freighter", centre, at.angle + math.pi / 2)
                while y < self.pier - 20:
                    centre = at.point(float(x) + sign * 46, y)
                    if rng.random() < 0.7 and terrain.elevation_at(*centre) < -0.1:
                        placer.put("ship", centre, at.angle + (0.5 if rng.random() < 0.5 else 1.5) * math.pi)
                    y += float(rng.uniform(56, 90))
            if rng.random() < 0.8:
                placer.put(
                    "vehicle", at.point(float(x) + 14, float(rng.uniform(30, self.pier - 40))), at.angle + math.pi / 2
                )
        for row in range(int((self.yard - 40) / 60)):
            for column in range(3):
                placer.put("tank", at.point(-self.half + 40 + 62 * column, -self.yard + 40 + 60 * row), 0.0)
        for x in np.arange(-self.half + 270, self.half - 40, 70):
            if rng.random() < 0.4:
                placer.put("vehicle", at.point(float(x), -62.0), at.angle)

    def near(self, point: tuple[float, float], reach: float) -> bool:
        """True if a pixel of the scene is on the grounds or within ``reach`` pixels of them."""
        return self.local.within(point, self.box, reach)


def hall(drawing: Drawing, at: Local, box: tuple[float, float, float, float], rng: np.random.Generator) -> None:
    """Draw a large roof with its shadow, ridge and skylights."""
    x1, y1, x2, y2 = box
    if x2 - x1 < 30:
        return
    base = _HALLS[int(rng.integers(len(_HALLS)))]
    dark: RGB = (int(base[0] * 0.84), int(base[1] * 0.84), int(base[2] * 0.84))
    drawing.add(at.box(*box) + 5, _SHADOW)
    drawing.add(at.box(*box), base)
    drawing.add(at.box(x1, (y1 + y2) / 2, x2, y2), dark)
    for x in np.arange(x1 + 14, x2 - 14, 22):
        drawing.add(at.box(float(x), y1 + 14, float(x) + 7, y1 + 26), (176, 182, 188))


def town_plan(
    rng: np.random.Generator, terrain: Terrain, side: int, along: float, kinds: int
) -> tuple[NDArray[np.int16], tuple[float, float]]:
    """Choose which squares of the scene are town and which piece lies on each (-1: none), and the middle of town."""
    middle = terrain.at(along, 0.46)
    radius = 0.19 * side
    waves = np.stack([rng.normal(0, 0.14, 5), rng.uniform(0, 6.3, 5)], axis=1)
    rows, columns = -(-terrain.height // TOWN), -(-terrain.width // TOWN)
    plan = np.full((rows, columns), -1, np.int16)
    for row in range(rows):
        for column in range(columns):
            x, y = (column + 0.5) * TOWN, (row + 0.5) * TOWN
            direction = math.atan2(y - middle[1], x - middle[0])
            wobble = 1 + sum(float(a) * math.sin(k * direction + float(b)) for k, (a, b) in enumerate(waves, 2))
            corners = [terrain.elevation_at(x + dx, y + dy) for dx in (-150, 150) for dy in (-150, 150)]
            if math.hypot(x - middle[0], y - middle[1]) < max(radius * wobble, 300) and min(corners) > 0.16:
                plan[row, column] = int(rng.integers(kinds))
    return plan, middle


def fill_town(rng: np.random.Generator, placer: Placer, plan: NDArray[np.int16], pieces: tuple[Piece, ...]) -> None:
    """Put courts on the empty lots and vehicles on the streets."""
    lane = STREET / 4
    for row, column in np.argwhere(plan >= 0):
        x, y = float(column) * TOWN, float(row) * TOWN
        for lot in pieces[plan[row, column]].lots:
            angle = math.pi / 2 * int(rng.integers(2)) + float(rng.normal(0, 0.04))
            dx, dy = (0.0, 25.0) if abs(math.cos(angle)) > 0.5 else (25.0, 0.0)
            for sign in (-1, 1):
                placer.put("court", (x + lot[0] + sign * dx, y + lot[1] + sign * dy), angle)
        for _ in range(int(rng.integers(0, 4))):
            on, off = float(rng.uniform(30, 98)) + 128 * int(rng.integers(2)), 128.0 * int(rng.integers(1, 2))
            side = lane if rng.random() < 0.5 else -lane
            if rng.random() < 0.5:
                placer.put("vehicle", (x + on, y + off + side), 0.0 if side > 0 else math.pi)
            else:
                placer.put("vehicle", (x + off + side, y + on), -math.pi / 2 if side > 0 else math.pi / 2)


def road(drawing: Drawing, points: list[tuple[float, float]]) -> None:
    """Draw a main road through points."""
    for a, b in pairwise(points):
        drawing.line(a, b, 40, (128, 124, 108))
    for a, b in pairwise(points):
        drawing.line(a, b, 30, _ASPHALT)
        drawing.dashes(a, b, 2, 14, 18, _WHITE)
    for x, y in points[1:-1]:
        corners = [(x + 15 * math.cos(k * math.pi / 6), y + 15 * math.sin(k * math.pi / 6)) for k in range(12)]
        drawing.add(np.array(corners), _ASPHALT)


def fill_road(
    rng: np.random.Generator,
    placer: Placer,
    points: list[tuple[float, float]],
    visible: Callable[[tuple[float, float]], bool],
) -> None:
    """Put vehicles on a main road where it can be seen, keeping to the right."""
    for a, b in pairwise(points):
        length = math.hypot(b[0] - a[0], b[1] - a[1])
        angle = math.atan2(b[1] - a[1], b[0] - a[0])
        local = Local(a, angle)
        for s in np.arange(40, length - 40, 120):
            if rng.random() < 0.4:
                sign = 1 if rng.random() < 0.5 else -1
                centre = local.point(float(s + rng.uniform(-30, 30)), 7.5 * sign)
                if visible(centre):
                    placer.put("vehicle", centre, angle if sign > 0 else angle + math.pi)
