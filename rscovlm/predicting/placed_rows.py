"""The objects and places of many rows as one GeoJSON file, in one coordinate system."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rscovlm.exports import to_geojson
from rscovlm.exports.geojson import GEOJSON, PIXELS, write_features
from rscovlm.files import replacing
from rscovlm.geometry import Boxes, Frame, Objects
from rscovlm.tasks.boxes import frame_of

Row = dict[str, Any]
Report = Callable[[str, str], None]


def write_geojson(
    rows: Mapping[str, Row], path: Path, *, report: Report | None = None, overwrite: bool = False
) -> tuple[int, int]:
    """Write the objects of all rows as one GeoJSON file, which has one coordinate system.

    That is longitude and latitude where the objects of any image can be placed in it. Images without a place, whose
    coordinate system is not known, or whose coordinates cannot be changed are then left out. Where no image can be
    placed, all are written in pixels of their own image. The place that a model says an image was taken at (rows with
    ``latitude`` and ``longitude``) is a point.

    Args:
        rows: Rows of `predict` by item; those without objects and without a place are passed over.
        path: File to write.
        report: Called with each image that could not be placed though another can or its file states a place, and why.
        overwrite: Replace a file that something else wrote.

    Returns:
        Objects written, and images left out.

    Raises:
        ValueError: The path holds another file.
    """
    reasons: dict[str, str] = {}
    with replacing(path, GEOJSON, overwrite=overwrite) as part:
        count = write_features(part, _COLLECTION, _features(rows, reasons))
        placed = any(("objects" in row or _LATITUDE in row) and name not in reasons for name, row in rows.items())
        if not placed and reasons:
            count = write_features(part, {**_COLLECTION, "coordinates": PIXELS}, _features(rows, None))
    for name, reason in reasons.items():
        if report is not None and (placed or _LATITUDE in rows[name] or rows[name]["frame"]["to_world"] is not None):
            report(name, reason)
    return count, len(reasons) if placed else 0


_COLLECTION = {"type": "FeatureCollection"}
_LATITUDE = "latitude"


def _features(rows: Mapping[str, Row], reasons: dict[str, str] | None) -> Iterator[dict[str, Any]]:
    """Yield the objects of all rows on the ground, keeping why a row has no place there; without `reasons` in pixels."""
    number = 0
    for name, row in rows.items():
        if _LATITUDE in row:
            if row[_LATITUDE] is not None:
                yield _point(name, row) | {"id": number}
                number += 1
            elif reasons is not None:
                reasons[name] = "its answer holds no coordinates"
            continue
        if "objects" not in row:
            continue
        try:
            stated = row["frame"]
            objects = _placed(row) if reasons is not None else _objects(row, Frame(stated["width"], stated["height"]))
            features = to_geojson(objects, properties=_properties(name, row))["features"]
        except ValueError as error:
            if reasons is None:
                raise
            reasons[name] = str(error)
            continue
        for feature in features:
            feature["id"] = number
            number += 1
            yield feature


def _point(name: str, row: Row) -> dict[str, Any]:
    """Return the place that a model says an image was taken at."""
    about = {"image": name, "city": row["city"]}
    about |= {key: row[key] for key in ("error_km",) if key in row}
    where = {"type": "Point", "coordinates": [row["longitude"], row[_LATITUDE]]}
    return {"type": "Feature", "geometry": where, "properties": about}


def _properties(name: str, row: Row) -> list[dict[str, Any]]:
    return [{"image": name, **({"cut": True} if one.get("cut") else {})} for one in row["objects"]]


def _placed(row: Row) -> Objects:
    """Return the objects of a row on a frame that can be brought to longitude and latitude.

    Raises:
        ValueError: The row's image has no such frame.
    """
    stated = row["frame"]
    if stated["to_world"] is None:
        raise ValueError("it has no place on the ground")
    if stated["crs"] is None:
        raise ValueError("its coordinate system is not known; state it with --crs")
    return _objects(row, frame_of(stated))


def _objects(row: Row, frame: Frame) -> Objects:
    """Return the objects of a row, on a frame of their image."""
    found = row["objects"]
    if not found:
        return Objects.empty("hbb", frame)
    boxes = Boxes([one["box"] for one in found], found[0]["kind"], frame)
    scores = np.array([one["score"] for one in found]) if all("score" in one for one in found) else None
    return Objects(boxes, tuple(one["label"] for one in found), scores)
