"""Objects as GeoJSON."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rscovlm.exports.outlines import DECIMALS, inside_world, outlines_each
from rscovlm.files import mark, replacing
from rscovlm.geometry import Frame, Objects
from rscovlm.geometry.affine import Floats, apply
from rscovlm.rasters.world import LONGITUDE_LATITUDE, WGS84

ACCURACY = "accuracy_pixels"
"""Name of the r.m.s. error of an object's place, in pixels of its image."""

GEOJSON = "geojson"
PIXELS = "pixels of the image, x right, y down"

AT_ONCE = 512
"""Features that become text together."""


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
    cross the 180th meridian cut in two, those round a pole closed along it. A box whose edges bend on the map by more
    than half a pixel gets more points than its corners. Any other system is named in a ``crs`` member, which programs read though the
    RFC dropped it. Objects on an image without a place on the ground are written in its pixels, which
    ``"coordinates"`` then says, because most programs take what they read for degrees.

    Args:
        objects: Labelled boxes with a frame; each becomes a polygon with ``label``, ``score`` where there is one, and
            the corners in pixels of the original image; and ``accuracy_pixels``, the r.m.s. error to expect, where the
            image was placed by control points.
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
    ((rings, pixels, named),) = placed_each([objects], crs)
    features = features_of(objects, rings, pixels, degrees=not named, properties=properties)
    collection = {"type": "FeatureCollection", **named, "features": features}
    if path is not None:
        write_collection(collection, path, overwrite=overwrite)
    return collection


def write_collection(collection: Mapping[str, Any], path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write a feature collection as a file that says it is ours."""
    members = {name: value for name, value in collection.items() if name != "features"}
    with replacing(path, GEOJSON, overwrite=overwrite) as part:
        write_features(part, members, collection["features"])


def features_of(
    objects: Objects,
    rings: Sequence[Floats],
    pixels: Floats,
    *,
    degrees: bool,
    properties: Sequence[Mapping[str, Any]] | None = None,
    first: int = 0,
) -> list[dict[str, Any]]:
    """Return a feature an object.

    Args:
        objects: Labelled boxes.
        rings: What `placed_each` gives of them.
        pixels: (n, 4, 2) corners in original pixels, which it gives too.
        degrees: Whether the rings are longitudes and latitudes, which end at 180 degrees.
        properties: More properties, one mapping an object.
        first: Number of the first feature.
    """
    accuracy = accuracy_of(objects)
    corners = np.round(pixels.reshape(-1, 8), 2).tolist()
    scores = None if objects.scores is None else objects.scores.tolist()
    features = []
    for row, (label, geometry) in enumerate(zip(objects.labels, _geometries(rings, degrees=degrees), strict=True)):
        about: dict[str, Any] = {"label": label}
        if scores is not None:
            about["score"] = scores[row]
        about["pixels"] = corners[row]
        if accuracy is not None:
            about[ACCURACY] = accuracy
        if properties is not None:
            about.update(properties[row])
        features.append({"type": "Feature", "id": first + row, "geometry": geometry, "properties": about})
    return features


def write_features(path: Path, members: Mapping[str, Any], features: Iterable[Mapping[str, Any]]) -> int:
    """Write a new file of features as they come, which says that it is ours, and return how many there are."""
    # The mark stands first, where it is found again however long the file is.
    head = json.dumps({"generator": mark(GEOJSON), **members}, ensure_ascii=False, allow_nan=False)
    left, count = iter(features), 0
    # Half a character, which a model may be made to write, becomes an escape that JSON reads back.
    with path.open("w", encoding="utf-8", errors="backslashreplace") as out:
        out.write(f'{head[:-1]}, "features": [')
        while some := list(islice(left, AT_ONCE)):
            text = json.dumps(some, ensure_ascii=False, allow_nan=False)[1:-1]
            out.write(f", {text}" if count else text)
            count += len(some)
        out.write("]}")
    return count


def accuracy_of(objects: Objects) -> float | None:
    """Return the r.m.s. error of the objects' places in pixels of the image, where it is known to have one."""
    return None if objects.boxes.frame is None else stated_accuracy(objects.boxes.frame)


def stated_accuracy(frame: Frame) -> float | None:
    """Return the r.m.s. error of places on a grid in pixels of its image, where it is known to have one."""
    return None if frame.accuracy is None else float(f"{frame.accuracy:.3g}")


def placed_each(found: Sequence[Objects], crs: str | None) -> list[tuple[list[Floats], Floats, dict[str, Any]]]:
    """Return rings on the map, (n, 4, 2) corners in original pixels, and the members that name the rings' system, of
    the objects of each image.

    Raises:
        ValueError: Some objects have no frame, or coordinates cannot be changed.
    """
    corners = [objects.boxes.as_kind("quad").coords.reshape(-1, 4, 2) for objects in found]
    frames = [_frame(objects) for objects in found]
    pixels = [apply(frame.to_root, quads) for quads, frame in zip(corners, frames, strict=True)]
    together: dict[str | None, list[int]] = {}
    for number, frame in enumerate(frames):
        if frame.root_to_world is not None:
            together.setdefault(crs if crs is not None and frame.crs is not None else frame.crs, []).append(number)
    rings: list[list[Floats]] = [list(quads) for quads in pixels]
    named: list[dict[str, Any]] = [{"coordinates": PIXELS} for _ in found]
    for wanted, numbers in together.items():
        grounds = outlines_each([(corners[number], frames[number]) for number in numbers], wanted)
        for number, ground in zip(numbers, grounds, strict=True):
            rings[number], named[number] = ground, _named(wanted)
    return list(zip(rings, pixels, named, strict=True))


def _frame(objects: Objects) -> Frame:
    if objects.boxes.frame is None:
        raise ValueError(
            "these objects have no frame, so where they lie is not known; make them with Boxes(..., frame=...)"
        )
    return objects.boxes.frame


def _named(wanted: str | None) -> dict[str, Any]:
    """Return the members that name a system: none for longitude and latitude."""
    if wanted is None:
        return {"coordinates": "map units of the image, whose coordinate system is not stated"}
    if wanted in LONGITUDE_LATITUDE:
        return {}
    code = wanted.upper().removeprefix("EPSG:")
    name = f"urn:ogc:def:crs:EPSG::{code}" if code.isdigit() else wanted
    return {"crs": {"type": "name", "properties": {"name": name}}}


def counter_clockwise(ring: NDArray[np.float64]) -> Floats:
    """Return the (k, 2) corners of a ring, turned where needed so that it runs counter-clockwise (x right, y up)."""
    x, y = (ring - ring[0]).T  # large coordinates cost no digits
    area = float(np.dot(x[:-1], y[1:]) - np.dot(x[1:], y[:-1]))
    return ring if area >= 0 else np.concatenate([ring[:1], ring[:0:-1]])


def counter_clockwise_each(rings: Sequence[Floats]) -> list[Floats]:
    """Return rings that run counter-clockwise; see `counter_clockwise`.

    >>> ring = np.array([[0.0, 0], [0, 1], [1, 1], [1, 0]])
    >>> counter_clockwise_each([ring, ring[::-1]])[0].tolist()
    [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]
    """
    turned = list(rings)
    four = [row for row, ring in enumerate(rings) if len(ring) == 4]
    if four:
        corners = np.stack([rings[row] for row in four])
        x, y = np.moveaxis(corners - corners[:, :1], 2, 0)  # large coordinates cost no digits
        clockwise = (x[:, :-1] * y[:, 1:] - x[:, 1:] * y[:, :-1]).sum(axis=1) < 0
        corners[clockwise, 1:] = corners[clockwise, :0:-1]
        for row, ring in zip(four, corners, strict=True):
            turned[row] = ring
    return [ring if len(ring) == 4 else counter_clockwise(ring) for ring in turned]


def _geometries(rings: Sequence[Floats], *, degrees: bool) -> list[dict[str, Any]]:
    """Return the geometry of each ring; those of four corners, which most are, are rounded together."""
    turned = counter_clockwise_each(rings)
    found: list[dict[str, Any]] = [{} for _ in rings]
    four = [row for row, ring in enumerate(turned) if len(ring) == 4]
    corners = np.stack([turned[row] for row in four]) if four else np.empty((0, 4, 2))
    if degrees:
        within = np.flatnonzero((np.abs(corners[..., 0]) <= 180).all(axis=1))
        four, corners = [four[row] for row in within.tolist()], corners[within]
    for row, numbers in zip(four, np.round(corners, DECIMALS).tolist(), strict=True):
        found[row] = {"type": "Polygon", "coordinates": [[*numbers, numbers[0]]]}
    return [one or _geometry(ring, degrees=degrees) for one, ring in zip(found, turned, strict=True)]


def _geometry(ring: Floats, *, degrees: bool) -> dict[str, Any]:
    if not degrees or (ring[:, 0].min() >= -180 and ring[:, 0].max() <= 180):
        return {"type": "Polygon", "coordinates": [_closed(ring)]}
    parts = inside_world(ring)
    if not parts:  # without an area: a line or a point
        ring = ring - (360 * np.floor((ring[:, 0].min() + 180) / 360), 0)
        return {"type": "Polygon", "coordinates": [_closed(ring)]}
    rings = [
        [_closed(np.array(part.exterior.coords)[:-1])]
        + [_closed(np.array(hole.coords)[:-1])[::-1] for hole in part.interiors]
        for part in parts
    ]
    return (
        {"type": "Polygon", "coordinates": rings[0]}
        if len(rings) == 1
        else {"type": "MultiPolygon", "coordinates": rings}
    )


def _closed(ring: Floats) -> list[list[float]]:
    numbers = [round(value, DECIMALS) for value in counter_clockwise(ring).ravel().tolist()]
    return [*map(list, zip(numbers[::2], numbers[1::2], strict=True)), numbers[:2]]
