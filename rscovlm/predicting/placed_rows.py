"""The objects of many rows as one GeoJSON file, in one coordinate system."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rscovlm.exports import to_geojson
from rscovlm.exports.geojson import write_collection
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
    placed, all are written in pixels of their own image.

    Args:
        rows: Rows of `predict` by item; those without objects are passed over.
        path: File to write.
        report: Called with each image that could not be placed though another can or its file states a place, and why.
        overwrite: Replace a file that something else wrote.

    Returns:
        Objects written, and images left out.

    Raises:
        ValueError: The path holds another file.
    """
    found = {name: row for name, row in rows.items() if "objects" in row}
    written: dict[str, dict[str, Any]] = {}
    reasons: dict[str, str] = {}
    for name, row in found.items():
        try:
            written[name] = to_geojson(_placed(row), properties=_properties(name, row))
        except ValueError as error:
            reasons[name] = str(error)
    left_out = len(reasons) if written else 0
    for name, reason in reasons.items():
        if report is not None and (written or found[name]["frame"]["to_world"] is not None):
            report(name, reason)
    if not written:
        written = {
            name: to_geojson(
                _objects(row, Frame(row["frame"]["width"], row["frame"]["height"])),
                properties=_properties(name, row),
            )
            for name, row in found.items()
        }
    features: list[Any] = []
    members: dict[str, Any] = {"type": "FeatureCollection"}
    for collection in written.values():
        features += collection.pop("features")
        members.update(collection)
    for number, feature in enumerate(features):
        feature["id"] = number
    write_collection({**members, "features": features}, path, overwrite=overwrite)
    return len(features), left_out


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
