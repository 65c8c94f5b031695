"""Objects as GeoJSON."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from rscovlm.files import mark, write_text
from rscovlm.geometry import Objects
from rscovlm.geometry.affine import Floats, apply
from rscovlm.rasters.world import LONGITUDE_LATITUDE, WGS84, to_map

GEOJSON = "geojson"
PIXELS = "pixels of the image, x right, y down"
DECIMALS = 9
"""Digits of a degree that are written: a tenth of a millimetre."""


def to_geojson(
    objects: Objects,
    path: str | os.PathLike[str] | None = None,
    *,
    crs: str | None = WGS84,
    properties: Sequence[Mapping[str, Any]] | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Return objects as a GeoJSON feature collection, and write it where a path is given.

    With the default it is RFC 7946: longitude and latitude on WGS 84, exterior rings counter-clockwise, polygons that
    cross the 180th meridian cut in two. Any other system is named in a ``crs`` member, which programs read though the
    RFC dropped it. Objects on an image without a place on the ground are written in its pixels, which
    ``"coordinates"`` then says, because most programs take what they read for degrees.

    Args:
        objects: Labelled boxes with a frame; each becomes a polygon with ``label``, ``score`` where there is one, and
            the corners in pixels of the original image.
        path: File to write, in one move; the written file has one more member, ``generator``, by which it is known to
            be replaceable.
        crs: System to write; None for the image's own.
        properties: More properties, one mapping an object.
        overwrite: Replace a file that something else wrote.

    Raises:
        ValueError: The objects have no frame, there is not one mapping an object, coordinates cannot be changed, or the
            path holds a file that this function did not write.

    Example:
        >>> import numpy as np
        >>> from rscovlm.geometry import Boxes, Frame
        >>> frame = Frame(100, 100, root_to_world=(0.1, 0, 10, 0, -0.1, 50), crs="EPSG:4326")
        >>> found = Objects(Boxes(np.array([[10.0, 20.0, 30.0, 40.0]]), "hbb", frame), ("ship",))
        >>> to_geojson(found)["features"][0]["geometry"]["coordinates"]
        [[[11.0, 48.0], [11.0, 46.0], [13.0, 46.0], [13.0, 48.0], [11.0, 48.0]]]
    """
    if properties is not None and len(properties) != len(objects):
        raise ValueError(
            f"there are {len(objects)} objects and {len(properties)} properties; give one mapping an object"
        )
    quads, pixels, named = placed(objects, crs)
    degrees = not named
    features = []
    for row, label in enumerate(objects.labels):
        about: dict[str, Any] = {"label": label}
        if objects.scores is not None:
            about["score"] = float(objects.scores[row])
        about["pixels"] = [round(float(value), 2) for value in pixels[row].ravel()]
        if properties is not None:
            about.update(properties[row])
        geometry = _geometry(quads[row], degrees=degrees)
        features.append({"type": "Feature", "id": row, "geometry": geometry, "properties": about})
    collection = {"type": "FeatureCollection", **named, "features": features}
    if path is not None:
        write_collection(collection, path, overwrite=overwrite)
    return collection


def write_collection(collection: Mapping[str, Any], path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write a feature collection as a file that says it is ours."""
    # The mark stands first, where it is found again however long the file is.
    text = json.dumps({"generator": mark(GEOJSON), **collection}, ensure_ascii=False, allow_nan=False)
    write_text(path, text, GEOJSON, overwrite=overwrite)


def placed(objects: Objects, crs: str | None) -> tuple[Floats, Floats, dict[str, Any]]:
    """Return (n, 4, 2) corners on the map, the same in original pixels, and the members that name their system.

    Raises:
        ValueError: The objects have no frame, or coordinates cannot be changed.
    """
    frame = objects.boxes.frame
    if frame is None:
        raise ValueError(
            "these objects have no frame, so where they lie is not known; make them with Boxes(..., frame=...)"
        )
    corners = objects.boxes.as_kind("quad").coords.reshape(-1, 2)
    pixels = apply(frame.to_root, corners)
    if frame.to_world() is None:
        return pixels.reshape(-1, 4, 2), pixels.reshape(-1, 4, 2), {"coordinates": PIXELS}
    wanted = crs if crs is not None and frame.crs is not None else frame.crs
    ground = to_map(corners, frame, wanted).reshape(-1, 4, 2)
    named: dict[str, Any] = {}
    if wanted is None:
        named = {"coordinates": "map units of the image, whose coordinate system is not stated"}
    elif wanted not in LONGITUDE_LATITUDE:
        code = wanted.upper().removeprefix("EPSG:")
        name = f"urn:ogc:def:crs:EPSG::{code}" if code.isdigit() else wanted
        named = {"crs": {"type": "name", "properties": {"name": name}}}
    return ground, pixels.reshape(-1, 4, 2), named


def counter_clockwise(ring: NDArray[np.float64]) -> Floats:
    """Return the (k, 2) corners of a ring, turned where needed so that it runs counter-clockwise (x right, y up)."""
    x, y = ring[:, 0], ring[:, 1]
    area = float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))
    return ring if area >= 0 else np.concatenate([ring[:1], ring[:0:-1]])


def _geometry(ring: Floats, *, degrees: bool) -> dict[str, Any]:
    if not degrees:
        return {"type": "Polygon", "coordinates": [_closed(ring)]}
    ring = ring.copy()
    if np.ptp(ring[:, 0]) > 180:  # the short way round crosses the 180th meridian
        ring[ring[:, 0] < 0, 0] += 360
    if ring[:, 0].min() < -180 or ring[:, 0].max() > 180:  # as in maps that count from 0 to 360, or go on beyond 180
        ring[:, 0] -= 360 * np.floor((ring[:, 0].min() + 180) / 360)
    if ring[:, 0].max() > 180:
        whole = shapely.make_valid(shapely.Polygon(ring))
        halves = [(shapely.intersection(whole, shapely.box(low, -90, low + 360, 90)), low) for low in (-180, 180)]
        parts = [(part, low) for half, low in halves for part in shapely.get_parts(half) if part.area > 0]
        if parts:
            rings = [[_closed(np.array(p.exterior.coords)[:-1] - ((360, 0) if low == 180 else 0))] for p, low in parts]
            return {"type": "MultiPolygon", "coordinates": rings}
    return {"type": "Polygon", "coordinates": [_closed(ring)]}


def _closed(ring: Floats) -> list[list[float]]:
    turned = counter_clockwise(ring)
    return [[round(float(x), DECIMALS), round(float(y), DECIMALS)] for x, y in [*turned, turned[0]]]
