"""Drawn places: things on a plane in metres, the truth of every condition about them, and what is too close to call."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from rscovlm.geometry import Boxes, Frame, Objects
from rscovlm.geometry.affine import Floats, apply

SUBJECTS = ("plane", "ship", "tank", "vehicle", "court")
SMALL, LONG = ("tower", "crane", "hangar", "silo"), ("pier", "breakwater")
LINE, ZONE = "road", "zone"
WIDTH, HEIGHT = 4000, 3000

GAP = 4.0
"""Metres, or pixels, by which the truth must be clear; a place where something is closer is not asked about."""


@dataclass(frozen=True)
class Verdict:
    """Which objects meet a condition.

    Attributes:
        met: (n,) bool.
        clear: (n,) bool: no way to measure gives another answer.
    """

    met: NDArray[np.bool_]
    clear: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class DrawnPlace:
    """Things in an image with map coordinates; the first `count` are those that instructions ask for.

    Attributes:
        frame: The image's grid; half of the places are turned, so that north is not up.
        labels: Of all things.
        quads: (n, 4, 2) corners in pixels.
        zone: (k, 2) pixels of an area that is given by name.
        count: Of things that are asked for.
    """

    frame: Frame
    labels: tuple[str, ...]
    quads: Floats
    zone: Floats
    count: int

    @property
    def objects(self) -> Objects:
        """All things as labelled quads."""
        return Objects(Boxes(self.quads.reshape(-1, 8), "quad", self.frame), self.labels)

    @property
    def subject(self) -> str:
        """The class that is asked for."""
        return self.labels[0]

    def metres(self, pixels: Floats) -> Floats:
        """Return (..., 2) pixels as metres east and north, in the projection of the image.

        Raises:
            ValueError: The image does not say where it lies.
        """
        world = self.frame.root_to_world
        if world is None:
            raise ValueError("the place has no map coordinates; give its frame root_to_world and crs")
        return np.asarray(apply(world, pixels.reshape(-1, 2))).reshape(pixels.shape)

    def middles(self) -> Floats:
        """Return (count, 2) middles in pixels of what is asked for."""
        return np.asarray(self.quads[: self.count].mean(axis=1))

    def thing(self, label: str) -> Floats:
        """Return the (4, 2) corners in pixels of the only thing with a label."""
        return np.asarray(self.quads[self.labels.index(label)])

    def areas(self) -> Floats:
        """Return (count,) areas in square pixels."""
        return np.array([shapely.Polygon(quad).area for quad in self.quads[: self.count]])

    def distances(self, label: str) -> Floats:
        """Return (count,) metres between outlines."""
        other = shapely.Polygon(self.metres(self.thing(label)))
        return np.array([shapely.Polygon(quad).distance(other) for quad in self.metres(self.quads[: self.count])])

    def sideways(self, label: str, axis: int, sign: int, *, metric: bool) -> Verdict:
        """Tell which objects lie on a side of a thing: at least a tenth of the way from its nearest point leads there."""
        change = self.metres if metric else np.asarray
        edge = _dense(change(self.thing(label)))
        middles = change(self.middles())
        away = middles[:, None] - edge[None]
        lengths = np.linalg.norm(away, axis=2)
        nearest = lengths.argmin(axis=1)
        rows = np.arange(len(middles))
        share = sign * away[rows, nearest, axis] / np.maximum(lengths[rows, nearest], 1e-9)
        # Grid north of UTM is up to three degrees off true north.
        clear = (np.abs(share - 0.1) > 0.08) & (lengths[rows, nearest] > 2 * GAP)
        return Verdict(share > 0.1, clear)

    def inside(self, ring: Floats) -> Verdict:
        """Tell which middles lie in an area in pixels."""
        return Verdict(self._covered(ring), self._far_from(ring))

    def between(self, one: str, two: str) -> Verdict:
        """Tell which middles lie in the hull of two things and in neither."""
        things = [self.thing(label) for label in (one, two)]
        hull = shapely.get_coordinates(shapely.MultiPoint(np.concatenate(things)).convex_hull)
        met = self._covered(hull) & ~self._covered(things[0]) & ~self._covered(things[1])
        return Verdict(met, np.all([self._far_from(ring) for ring in (hull, *things)], axis=0))

    def _covered(self, ring: Floats) -> NDArray[np.bool_]:
        return np.asarray(shapely.covers(shapely.Polygon(ring), shapely.points(self.middles())), bool)

    def _far_from(self, ring: Floats) -> NDArray[np.bool_]:
        return np.asarray(shapely.distance(shapely.LinearRing(ring), shapely.points(self.middles())) > 2 * GAP, bool)

    def along(self, label: str) -> Verdict:
        """Tell which objects are as near to a line as they are long."""
        away = self.distances(label)
        spread = np.ptp(self.quads[: self.count], axis=1)
        longest = spread.max(axis=1) * math.hypot(*(self.frame.root_to_world or (1, 0, 0, 0, 1, 0))[:2])
        return Verdict(away <= longest, (away < 0.6 * longest) | (away > 1.5 * longest))


def draw_place(rng: np.random.Generator) -> DrawnPlace:
    """Draw a place: eight to fourteen objects of one class, some of another, single things, a road and a zone."""
    subject, other = rng.choice(SUBJECTS, 2, replace=False).tolist()
    count, more = int(rng.integers(8, 15)), int(rng.integers(3, 7))
    labels = [subject] * count + [other] * more
    quads = [_quad(rng, _spot(rng), rng.uniform(20, 90), rng.uniform(10, 40)) for _ in labels]
    for label in SMALL:
        quads.append(_quad(rng, _spot(rng), rng.uniform(12, 30), rng.uniform(12, 30)))
        labels.append(label)
    middle, turn = _spot(rng, 0.3), rng.uniform(0, math.pi)
    across = np.array([-math.sin(turn), math.cos(turn)]) * rng.uniform(350, 800)
    for label, side in zip(LONG, (-1, 1), strict=True):
        quads.append(_quad(rng, middle + side * across, rng.uniform(900, 1500), 30, turn + rng.normal(0, 0.1)))
        labels.append(label)
    quads.append(_quad(rng, _spot(rng, 0.4), 9000, 24))
    labels.append(LINE)
    angles = np.sort(rng.uniform(0, 2 * math.pi, 7))
    reach = np.array([WIDTH, HEIGHT]) * rng.uniform(0.22, 0.4, 2)
    zone = _spot(rng, 0.35) + np.column_stack([np.cos(angles), np.sin(angles)]) * reach
    ground, turned = float(rng.uniform(0.25, 0.8)), float(rng.uniform(-math.pi, math.pi) * (rng.random() < 0.5))
    cos, sin = ground * math.cos(turned), ground * math.sin(turned)
    east, north = float(rng.uniform(300_000, 700_000)), float(rng.uniform(1_000_000, 6_500_000))
    zone_number = int(rng.integers(1, 61))
    frame = Frame(WIDTH, HEIGHT, root_to_world=(cos, sin, east, sin, -cos, north), crs=f"EPSG:{32600 + zone_number}")
    return DrawnPlace(frame, tuple(labels), np.array(quads), zone, count)


def _spot(rng: np.random.Generator, margin: float = 0.03) -> Floats:
    return np.asarray(rng.uniform(margin, 1 - margin, 2) * (WIDTH, HEIGHT))


def _quad(rng: np.random.Generator, at: Floats, length: float, width: float, turn: float | None = None) -> Floats:
    angle = float(rng.uniform(0, math.pi)) if turn is None else turn
    along, side = np.array([math.cos(angle), math.sin(angle)]), np.array([-math.sin(angle), math.cos(angle)])
    half = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) / 2
    return np.asarray(at + half[:, :1] * length * along + half[:, 1:] * width * side)


def _dense(ring: Floats, parts: int = 200) -> Floats:
    """Return points along the edges of a ring."""
    ends = np.roll(ring, -1, axis=0)
    shares = np.linspace(0, 1, parts)[:, None, None]
    return np.asarray(ring + shares * (ends - ring)).reshape(-1, 2)
