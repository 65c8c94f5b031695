"""The objects and places of many rows as one file for GIS programs, in one coordinate system, written as the rows come."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from rscovlm.codec.point_objects import PointObject
from rscovlm.exports.areas import geometry_of, placed_areas
from rscovlm.exports.geojson import ACCURACY, GEOJSON, PIXELS, features_of, placed_each, stated_accuracy, write_features
from rscovlm.exports.geopackage import GEOPACKAGE, write_geopackage
from rscovlm.exports.geoparquet import GEOPARQUET, check_pyarrow, write_geoparquet
from rscovlm.exports.polygons import AreaChunk, Polygons
from rscovlm.files import replacing
from rscovlm.geometry import Boxes, Frame, Objects
from rscovlm.geometry.affine import Floats
from rscovlm.rasters.world import WGS84
from rscovlm.tasks.areas import areas_of
from rscovlm.tasks.boxes import frame_of

Row = dict[str, Any]
Report = Callable[[str, str], None]

TOGETHER = 512
"""Objects, of as many rows as it takes, whose coordinates are changed together."""

_COLUMNS = ("label", "score", ACCURACY, "image", "cut")


def write_objects(
    rows: Mapping[str, Row], path: Path, kind: str = GEOJSON, *, report: Report | None = None, overwrite: bool = False
) -> tuple[int, int]:
    """Write the objects of all rows as one file, which has one coordinate system.

    That is longitude and latitude where the objects of any image can be placed in it. Images without a place, whose
    coordinate system is not known, or whose coordinates cannot be changed are then left out. Where no image can be
    placed, all are written in pixels of their own image as GeoJSON, and refused as any other kind. The place
    that a model says an image was taken at (rows with ``latitude`` and ``longitude``) is a point, which only GeoJSON
    has. Rows are asked for one after another and not kept.

    Args:
        rows: Rows of `predict` by item; those without objects and without a place are passed over.
        path: File to write.
        kind: ``"geojson"``, ``"geopackage"`` or ``"geoparquet"``.
        report: Called with each image that could not be placed though another can or its file states a place, and why.
        overwrite: Replace a file that something else wrote.

    Returns:
        Objects written, and images left out.

    Raises:
        ValueError: The path holds another file, pyarrow is missing, or no image has a place and the file must have one.
    """
    if kind == GEOPARQUET:
        check_pyarrow()
    seen = _Seen()
    with replacing(path, kind, overwrite=overwrite) as part:
        if kind == GEOJSON:
            count = write_features(part, _COLLECTION, _features(_placed_rows(rows, seen, points=True)))
            if seen.unplaced and not seen.placed:
                part.unlink()
                count = write_features(part, {**_COLLECTION, "coordinates": PIXELS}, _features(_rows_in_pixels(rows)))
        else:
            write = write_geopackage if kind == GEOPACKAGE else write_geoparquet
            chunks = _chunks(_placed_rows(rows, seen, points=False))
            first = next((one for one in chunks if len(one)), None)
            form = Polygons.form if first is None else first.form
            count = write(part, chain([first] if first is not None else [], chunks), WGS84, _COLUMNS, form=form)
            if seen.unplaced and not seen.placed:
                name, (reason, _) = next(iter(seen.unplaced.items()))
                raise ValueError(f"no image can be placed for {path} ({name}: {reason}); --geojson writes pixels")
    for name, (reason, stated) in seen.unplaced.items():
        if report is not None and (seen.placed or stated):
            report(name, reason)
    return count, len(seen.unplaced) if seen.placed else 0


_COLLECTION = {"type": "FeatureCollection"}
_LATITUDE = "latitude"


@dataclass
class _Seen:
    """What the rows were like.

    Attributes:
        placed: Rows whose objects are on the ground.
        unplaced: Why a row's objects are not, and whether its file states a place.
    """

    placed: int = 0
    unplaced: dict[str, tuple[str, bool]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Placed:
    """The objects of a row and their rings."""

    name: str
    cut: list[bool]
    objects: Objects
    rings: list[Floats]
    pixels: Floats
    degrees: bool


@dataclass(frozen=True)
class _Point:
    """The place that a model says an image was taken at."""

    name: str
    row: Row

    def feature(self) -> dict[str, Any]:
        """Return it as a feature without a number."""
        about = {"image": self.name, "city": self.row["city"]}
        about |= {key: self.row[key] for key in ("error_km",) if key in self.row}
        where = {"type": "Point", "coordinates": [self.row["longitude"], self.row[_LATITUDE]]}
        return {"type": "Feature", "geometry": where, "properties": about}


@dataclass(frozen=True)
class _Areas:
    """The areas of a row that are not empty, and their shapes."""

    name: str
    areas: list[PointObject]
    shapes: list[Any]
    accuracy: float | None

    @classmethod
    def of(cls, name: str, row: Row, frame: Frame) -> _Areas:
        """Return them in longitude and latitude where the frame has a place, else in pixels."""
        areas = areas_of(row, frame)
        pairs = [(one, shape) for one, shape in zip(areas, placed_areas(areas), strict=True) if not shape.is_empty]
        return cls(name, [one for one, _ in pairs], [shape for _, shape in pairs], stated_accuracy(frame))

    def features(self) -> Iterator[dict[str, Any]]:
        """Yield them as features without numbers."""
        more = {} if self.accuracy is None else {ACCURACY: self.accuracy}
        for one, shape in zip(self.areas, self.shapes, strict=True):
            about = {"label": one.label, **more, "image": self.name}
            yield {"type": "Feature", "geometry": geometry_of(shape), "properties": about}

    def chunk(self) -> AreaChunk:
        """Return them as rows of a table."""
        number = len(self.areas)
        columns = {"label": [one.label for one in self.areas], "image": [self.name] * number}
        return AreaChunk(self.shapes, {**columns, ACCURACY: [self.accuracy] * number, "cut": [False] * number})


def _placed_rows(rows: Mapping[str, Row], seen: _Seen, *, points: bool) -> Iterator[_Placed | _Point | _Areas]:
    """Yield the rows that can be brought to longitude and latitude, noting the others."""
    waiting: list[tuple[str, list[bool], Objects]] = []
    objects = 0
    for name, row in rows.items():
        if _LATITUDE in row:
            if row[_LATITUDE] is None:
                seen.unplaced[name] = "its answer holds no coordinates", True
            elif points:
                yield from _on_map(waiting, seen)
                waiting, objects = [], 0
                seen.placed += 1
                yield _Point(name, row)
            else:
                seen.unplaced[name] = "its place is a point, which --geojson writes", True
            continue
        if "objects" not in row:
            continue
        if _outlined(row):
            try:
                _check_ground(row)
                placed = _Areas.of(name, row, frame_of(row["frame"]))
            except ValueError as error:
                seen.unplaced[name] = str(error), row["frame"]["to_world"] is not None
                continue
            yield from _on_map(waiting, seen)
            waiting, objects = [], 0
            seen.placed += 1
            yield placed
            continue
        try:
            waiting.append((name, _cut(row), _on_ground(row)))
            objects += len(waiting[-1][1])
        except ValueError as error:
            seen.unplaced[name] = str(error), row["frame"]["to_world"] is not None
        if objects >= TOGETHER or len(waiting) == TOGETHER:
            yield from _on_map(waiting, seen)
            waiting, objects = [], 0
    yield from _on_map(waiting, seen)


def _on_map(waiting: Sequence[tuple[str, list[bool], Objects]], seen: _Seen) -> list[_Placed]:
    """Place rows together; where that fails, each half by itself, down to the row that cannot be placed."""
    if not waiting:
        return []
    try:
        found = placed_each([objects for _, _, objects in waiting], WGS84)
    except ValueError as error:
        if len(waiting) > 1:
            middle = len(waiting) // 2
            return [*_on_map(waiting[:middle], seen), *_on_map(waiting[middle:], seen)]
        seen.unplaced[waiting[0][0]] = str(error), True
        return []
    seen.placed += len(waiting)
    return [
        _Placed(name, cut, objects, rings, pixels, degrees=True)
        for (name, cut, objects), (rings, pixels, _) in zip(waiting, found, strict=True)
    ]


def _rows_in_pixels(rows: Mapping[str, Row]) -> Iterator[_Placed | _Point | _Areas]:
    """Yield the objects of all rows in pixels of their own image."""
    for name, row in rows.items():
        if "objects" in row and _outlined(row):
            yield _Areas.of(name, row, Frame(row["frame"]["width"], row["frame"]["height"]))
        elif "objects" in row:
            objects = _objects(row, Frame(row["frame"]["width"], row["frame"]["height"]))
            ((rings, pixels, _),) = placed_each([objects], None)
            yield _Placed(name, _cut(row), objects, rings, pixels, degrees=False)


def _features(placed: Iterator[_Placed | _Point | _Areas]) -> Iterator[dict[str, Any]]:
    number = 0
    for row in placed:
        if isinstance(row, _Point):
            yield row.feature() | {"id": number}
            number += 1
            continue
        if isinstance(row, _Areas):
            for feature in row.features():
                yield feature | {"id": number}
                number += 1
            continue
        about = [{"image": row.name, **({"cut": True} if cut else {})} for cut in row.cut]
        yield from features_of(row.objects, row.rings, row.pixels, degrees=row.degrees, properties=about, first=number)
        number += len(row.cut)


def _chunks(placed: Iterator[_Placed | _Point | _Areas]) -> Iterator[Polygons | AreaChunk]:
    for row in placed:
        if isinstance(row, _Areas):
            yield row.chunk()
        if isinstance(row, _Placed):
            yield Polygons.of(row.rings, row.objects, image=[row.name] * len(row.cut), cut=row.cut)


def _cut(row: Row) -> list[bool]:
    return [bool(one.get("cut")) for one in row["objects"]]


def _on_ground(row: Row) -> Objects:
    """Return the objects of a row on a frame that knows its place.

    Raises:
        ValueError: The row's image has no such frame.
    """
    _check_ground(row)
    return _objects(row, frame_of(row["frame"]))


def _check_ground(row: Row) -> None:
    stated = row["frame"]
    if stated["to_world"] is None:
        raise ValueError("it has no place on the ground")
    if stated["crs"] is None:
        raise ValueError("its coordinate system is not known; state it with --crs")


def _outlined(row: Row) -> bool:
    return any("rings" in one for one in row["objects"])


def _objects(row: Row, frame: Frame) -> Objects:
    """Return the objects of a row, on a frame of their image."""
    found = row["objects"]
    if not found:
        return Objects.empty("hbb", frame)
    boxes = Boxes([one["box"] for one in found], found[0]["kind"], frame)
    scores = np.array([one["score"] for one in found]) if all("score" in one for one in found) else None
    return Objects(boxes, tuple(one["label"] for one in found), scores)
