"""Objects as GeoJSON."""

from __future__ import annotations

import json
import os
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rscovlm.geometry import Frame, Objects

WGS84 = "EPSG:4326"


def feature_collection(objects: Objects, frame: Frame, *, crs: str | None = WGS84) -> dict[str, Any]:
    """Return objects as a GeoJSON feature collection of polygons.

    With ``crs="EPSG:4326"`` it is RFC 7946: longitude and latitude, rings counter-clockwise. Another ``crs``, or
    ``None`` for the image's own, gives coordinates of that system and names it in a ``crs`` member, which GIS programs
    read though RFC 7946 dropped it. An image without a place on the ground gives pixels of the original (x right, y
    down) and says so in ``"coordinates"``.

    Args:
        objects: Labelled boxes in any frame of the image.
        frame: The original's grid.
        crs: Coordinate reference system to write.

    Raises:
        ValueError: Coordinates have to change their system and rasterio, which does that, is not installed.
    """
    quads = objects.to(frame).boxes.as_kind("quad").coords.reshape(-1, 4, 2)
    rings, named = _placed(quads, frame, crs)
    features = []
    for row, (ring, label) in enumerate(zip(rings, objects.labels, strict=True)):
        properties: dict[str, Any] = {"label": label, "pixels": [round(float(v), 2) for v in quads[row].ravel()]}
        if objects.scores is not None:
            properties["score"] = float(objects.scores[row])
        geometry = {"type": "Polygon", "coordinates": [_closed(ring)]}
        features.append({"type": "Feature", "id": row, "properties": properties, "geometry": geometry})
    return {"type": "FeatureCollection", **named, "features": features}


def write_json(path: str | PathLike[str], value: Any) -> None:
    """Write a value as JSON in one move: a reader never sees half a file."""
    target = Path(path)
    part = target.with_name(target.name + ".part")
    part.write_text(json.dumps(value, ensure_ascii=False, allow_nan=False), encoding="utf-8")
    os.replace(part, target)


def _placed(quads: NDArray[np.float64], frame: Frame, crs: str | None) -> tuple[NDArray[np.float64], dict[str, Any]]:
    world = frame.to_world()
    if world is None or frame.crs is None:
        return quads, {"coordinates": "pixels of the image, x right, y down"}
    a, b, c, d, e, f = world
    x, y = quads[..., 0], quads[..., 1]
    ground = np.stack([a * x + b * y + c, d * x + e * y + f], axis=-1)
    wanted = crs or frame.crs
    if wanted != frame.crs:
        ground = _reprojected(ground, frame.crs, wanted)
    if wanted == WGS84:
        return ground, {}
    code = wanted.upper().removeprefix("EPSG:")
    name = f"urn:ogc:def:crs:EPSG::{code}" if code.isdigit() else wanted
    return ground, {"crs": {"type": "name", "properties": {"name": name}}}


def _reprojected(points: NDArray[np.float64], source: str, target: str) -> NDArray[np.float64]:
    try:
        from rasterio.warp import transform
    except ImportError:
        raise ValueError(
            f"coordinates in {source} cannot be brought to {target} without rasterio; "
            "install rscovlm[geo], or write the image's own system with crs=None"
        ) from None
    if not points.size:
        return points
    xs, ys = transform(source, target, points[..., 0].ravel().tolist(), points[..., 1].ravel().tolist())
    return np.stack([np.reshape(xs, points.shape[:2]), np.reshape(ys, points.shape[:2])], axis=-1)


def _closed(ring: NDArray[np.float64]) -> list[list[float]]:
    """Return a ring counter-clockwise (for x right, y up), its first point repeated at the end."""
    x, y = ring[:, 0], ring[:, 1]
    if float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)) < 0:
        ring = ring[::-1]
    return [[float(a), float(b)] for a, b in [*ring, ring[0]]]
