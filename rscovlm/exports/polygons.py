"""Objects as polygons with columns, chunk by chunk, for files of GIS programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import shapely

from rscovlm.exports.geojson import ACCURACY, accuracy_of, counter_clockwise_each, placed_each
from rscovlm.geometry import Objects
from rscovlm.geometry.affine import Floats
from rscovlm.rasters.crs import read_crs

COLUMNS: Mapping[str, type] = {"label": str, "score": float, ACCURACY: float, "image": str, "cut": bool}
"""Columns that a file of objects may have, and what they hold."""


@dataclass(frozen=True)
class Polygons:
    """Some objects of a file, each one ring.

    Attributes:
        rings: Counter-clockwise rings, (k, 2) points each, the first not repeated; longitudes go on beyond 180 degrees.
        columns: For each column of the file, one value an object, None where there is none.
        form: Kind of geometry that `wkb` gives.
    """

    rings: Sequence[Floats]
    columns: Mapping[str, Sequence[Any]]
    form: ClassVar[str] = "Polygon"

    @classmethod
    def of(cls, rings: Sequence[Floats], objects: Objects, **more: Sequence[Any]) -> Polygons:
        """Return the polygons of objects.

        Args:
            rings: What `placed_each` gives of the objects.
            objects: Labelled boxes.
            more: More columns, one value an object.
        """
        accuracy = accuracy_of(objects)
        scores: list[float] | list[None] = [None] * len(objects) if objects.scores is None else objects.scores.tolist()
        columns = {"label": objects.labels, "score": scores, ACCURACY: [accuracy] * len(objects), **more}
        return cls(counter_clockwise_each(rings), columns)

    def __len__(self) -> int:
        """Number of objects."""
        return len(self.rings)

    def column(self, name: str) -> list[Any]:
        """Return the values of a column; see `column_of`."""
        return column_of(self.columns.get(name, [None] * len(self)), name)

    def wkb(self) -> list[bytes]:
        """Return the polygons as well-known binary."""
        if not self.rings:
            return []
        sizes = [len(ring) for ring in self.rings]
        # shapely closes the rings.
        lines = shapely.linearrings(np.concatenate(self.rings), indices=np.repeat(np.arange(len(sizes)), sizes))
        return [bytes(value) for value in shapely.to_wkb(shapely.polygons(lines), byte_order=1, output_dimension=2)]

    def bounds(self) -> Floats:
        """Return (n, 4) smallest x and y and largest x and y of each ring."""
        if not self.rings:
            return np.empty((0, 4))
        starts = np.cumsum([0, *[len(ring) for ring in self.rings[:-1]]])
        points = np.concatenate(self.rings)
        low, high = np.minimum.reduceat(points, starts), np.maximum.reduceat(points, starts)
        return np.concatenate([low, high], axis=1)


@dataclass(frozen=True)
class AreaChunk:
    """Some areas of a file: polygons with holes and parts.

    Attributes:
        shapes: Polygons or multipolygons, none of them empty, outer rings counter-clockwise.
        columns: For each column of the file, one value an area, None where there is none.
        form: Kind of geometry that `wkb` gives.
    """

    shapes: Sequence[Any]
    columns: Mapping[str, Sequence[Any]]
    form: ClassVar[str] = "MultiPolygon"

    def __len__(self) -> int:
        """Number of areas."""
        return len(self.shapes)

    def column(self, name: str) -> list[Any]:
        """Return the values of a column; see `column_of`."""
        return column_of(self.columns.get(name, [None] * len(self)), name)

    def wkb(self) -> list[bytes]:
        """Return the areas as well-known binary, all of them multipolygons."""
        many = [one if one.geom_type == self.form else shapely.MultiPolygon([one]) for one in self.shapes]
        return [bytes(value) for value in shapely.to_wkb(many, byte_order=1, output_dimension=2)]

    def bounds(self) -> Floats:
        """Return (n, 4) smallest x and y and largest x and y of each area."""
        return np.asarray(shapely.bounds(list(self.shapes)), np.float64).reshape(-1, 4)


def column_of(values: Sequence[Any], name: str) -> list[Any]:
    """Return the values of a column; text is Unicode: half a character, which a model may be made to write, becomes an escape.

    >>> column_of(["ship", None], "label")
    ['ship', None]
    """
    if COLUMNS[name] is not str:
        return list(values)
    return [None if value is None else value.encode("utf-8", "backslashreplace").decode("utf-8") for value in values]


class Extent:
    """Bounds of all polygons that went by; ``sides`` is None as long as there were none."""

    def __init__(self) -> None:
        self.sides: list[float] | None = None

    def add(self, bounds: Floats) -> None:
        """Grow over (n, 4) bounds."""
        if len(bounds):
            seen = np.concatenate([bounds, [self.sides]]) if self.sides is not None else bounds
            self.sides = [*seen[:, :2].min(axis=0).tolist(), *seen[:, 2:].max(axis=0).tolist()]


def polygons_of(objects: Objects, crs: str | None) -> tuple[Polygons, str]:
    """Return the polygons of one image's objects, and the name of their system.

    Raises:
        ValueError: The image has no map coordinates, or these cannot be changed.
    """
    ((rings, _, named),) = placed_each([objects], crs)
    if "coordinates" in named:
        raise ValueError(f"the objects' coordinates are {named['coordinates']}; use to_geojson or to_coco for these")
    frame = objects.boxes.frame
    wanted = crs if crs is not None or frame is None else frame.crs
    return Polygons.of(rings, objects), str(wanted)


def columns_of(objects: Objects) -> tuple[str, ...]:
    """Return the columns of a file of one image's objects: accuracy only where it is known."""
    return ("label", "score") if accuracy_of(objects) is None else ("label", "score", ACCURACY)


def projjson(crs: str) -> dict[str, Any]:
    """Describe a system as PROJJSON.

    Raises:
        ValueError: rasterio is not installed.
    """
    try:
        described: dict[str, Any] = read_crs(crs).to_dict(projjson=True)
    except ImportError:
        raise ValueError(f"{crs[:40]} cannot be described without rasterio; install rscovlm[geo]") from None
    return described
