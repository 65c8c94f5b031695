"""Polygons as GeoJSON, masks as COCO annotations and as a GeoTIFF of numbers."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import shapely
import shapely.affinity
import tifffile
from numpy.typing import NDArray

from rscovlm.codec.point_objects import PointObject
from rscovlm.exports.geojson import PIXELS, write_collection
from rscovlm.exports.outlines import DECIMALS, WORLD
from rscovlm.files import mark, replacing
from rscovlm.geometry import Frame
from rscovlm.geometry.affine import Floats, apply
from rscovlm.geometry.masks import Mask
from rscovlm.rasters.crs import is_geographic
from rscovlm.rasters.world import LONGITUDE_LATITUDE, WGS84, to_map

_LONGEST = 64.0
"""Pixels of a side beyond which points are added, where a map bends lines."""

_TILE = 256


def areas_geojson(
    objects: Sequence[PointObject],
    path: str | os.PathLike[str] | None = None,
    *,
    crs: str | None = WGS84,
    properties: Sequence[Mapping[str, Any]] | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Return the areas of objects as a GeoJSON feature collection (RFC 7946), and write it where a path is given.

    Args:
        objects: Polygons with holes and parts, corners, or boxes with points, all on one grid with a place on the ground; without
            one they are written in pixels of the original image, as `to_geojson` does. Areas that are empty are left out.
        path: File to write.
        crs: System to write; None for the image's own.
        properties: More properties, one mapping an object.
        overwrite: Replace a file that something else wrote.

    Raises:
        ValueError: Objects have no grid or different ones, there is not one mapping an object, or coordinates cannot be changed.

    >>> frame = Frame(100, 100, root_to_world=(0.1, 0, 10, 0, -0.1, 50), crs="EPSG:4326")
    >>> field = PointObject.polygon("field", [[(10, 20), (30, 20), (30, 40)]], frame)
    >>> areas_geojson([field])["features"][0]["geometry"]["coordinates"]
    [[[11.0, 48.0], [13.0, 46.0], [13.0, 48.0], [11.0, 48.0]]]
    """
    if properties is not None and len(properties) != len(objects):
        raise ValueError(
            f"there are {len(objects)} objects and {len(properties)} properties; give one mapping an object"
        )
    _, named = _system(_one_grid(objects), crs)
    features = []
    for number, (one, shape) in enumerate(zip(objects, placed_areas(objects, crs), strict=True)):
        if shape.is_empty:
            continue
        about = {"label": one.label, **(properties[number] if properties is not None else {})}
        features.append({"type": "Feature", "id": number, "geometry": geometry_of(shape), "properties": about})
    collection = {"type": "FeatureCollection", **named, "features": features}
    if path is not None:
        write_collection(collection, path, overwrite=overwrite)
    return collection


def placed_areas(objects: Sequence[PointObject], crs: str | None = WGS84) -> list[Any]:
    """Return the area of each object in a coordinate system, as shapely has it.

    Outer rings run counter-clockwise, and areas over the 180th meridian are cut there. Without a place on the ground they are in
    pixels of the original image.

    Args:
        objects: Areas on one grid.
        crs: The system; None for the image's own.

    Raises:
        ValueError: Objects have no grid or different ones, or coordinates cannot be changed.
    """
    frame = _one_grid(objects)
    wanted, _ = _system(frame, crs)
    shapes = [one.shape for one in objects]
    return [shape if shape.is_empty or frame is None else _on_map(shape, frame, wanted) for shape in shapes]


def geometry_of(shape: Any) -> dict[str, Any]:
    """Return a shape as a geometry of GeoJSON, its numbers rounded."""
    return _lists(shapely.geometry.mapping(shape))


def coco_annotation(
    mask: Mask, *, image: int, category: int, number: int, score: float | None = None
) -> dict[str, Any]:
    """Return a mask as a COCO annotation with packed run lengths.

    Args:
        mask: The object's pixels, not empty.
        image: Number of the image.
        category: Number of the class.
        number: Number of the annotation.
        score: Confidence, for results.

    Raises:
        ValueError: The mask is empty.

    >>> coco_annotation(Mask.of([[0, 1], [0, 1]]), image=1, category=3, number=9)["bbox"]
    [1, 0, 1, 2]
    """
    x1, y1, x2, y2 = (int(side) for side in mask.box.coords[0])
    found = {
        "id": number,
        "image_id": image,
        "category_id": category,
        "bbox": [x1, y1, x2 - x1, y2 - y1],
        "segmentation": mask.rle(),
        "area": mask.area,
        "iscrowd": 0,
    }
    return found if score is None else {**found, "score": score}


def write_label_tiff(
    path: str | os.PathLike[str], masks: Sequence[Mask], frame: Frame, *, overwrite: bool = False
) -> Path:
    """Write masks as a tiled GeoTIFF of their numbers from 1, 0 where there is none; of masks that overlap the later counts.

    The file is made tile by tile, so that it may be larger than memory. It has the image's map coordinates, turned ones too.

    Args:
        path: Where to write.
        masks: Objects of one image.
        frame: The image's grid.
        overwrite: Replace a file that this function did not write.

    Raises:
        ValueError: A mask is one of another grid, or another file is there.
    """
    for number, mask in enumerate(masks):
        if (mask.frame.width, mask.frame.height) != (frame.width, frame.height):
            raise ValueError(
                f"mask {number} is one of {mask.frame.width}x{mask.frame.height} pixels and the image has "
                f"{frame.width}x{frame.height}; bring it there with to()"
            )
    dtype = np.uint8 if len(masks) < 256 else np.uint16 if len(masks) < 65536 else np.uint32
    with replacing(path, "labels", overwrite=overwrite) as part:
        tifffile.imwrite(
            part,
            _tiles(masks, frame, np.dtype(dtype)),
            shape=(frame.height, frame.width),
            dtype=dtype,
            tile=(_TILE, _TILE),
            compression="adobe_deflate",
            photometric="minisblack",
            metadata=None,
            software=mark("labels"),
            extratags=geotiff_tags(frame),
            maxworkers=1,
            bigtiff=frame.width * frame.height * np.dtype(dtype).itemsize > 2**31,
        )
    return Path(path)


def geotiff_tags(frame: Frame) -> list[tuple[int, int, int, tuple[float, ...], bool]]:
    """Return the TIFF tags that place a grid on the map, as tifffile takes them; none where it has no place that they can state."""
    if frame.root_to_world is None or frame.crs is None:
        return []
    authority, _, code = frame.crs.partition(":")
    if authority.upper() != "EPSG" or not code.isdigit():
        return []
    a, b, c, d, e, f = frame.root_to_world
    geographic = is_geographic(frame.crs)
    keys = (
        1,
        1,
        0,
        3,
        1024,
        0,
        1,
        2 if geographic else 1,
        1025,
        0,
        1,
        1,
        2048 if geographic else 3072,
        0,
        1,
        int(code),
    )
    matrix = (a, b, 0.0, c, d, e, 0.0, f, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    return [(34264, 12, 16, matrix, True), (34735, 3, len(keys), keys, True)]


def _tiles(masks: Sequence[Mask], frame: Frame, dtype: np.dtype[Any]) -> Iterator[NDArray[Any]]:
    """Yield the tiles of a label image row by row."""
    rows: dict[int, list[int]] = {}
    for number, mask in enumerate(masks):
        if mask.area:
            for row in range(mask.window.y1 // _TILE, (mask.window.y2 - 1) // _TILE + 1):
                rows.setdefault(row, []).append(number)
    for top in range(0, frame.height, _TILE):
        band = np.zeros((_TILE, -(-frame.width // _TILE) * _TILE), dtype)
        for number in rows.get(top // _TILE, ()):
            x1, y1, x2, y2 = masks[number].window
            low, high = max(y1, top), min(y2, top + _TILE)
            band[low - top : high - top, x1:x2][masks[number].pixels[low - y1 : high - y1]] = number + 1
        for left in range(0, frame.width, _TILE):
            yield band[:, left : left + _TILE]


def _one_grid(objects: Sequence[PointObject]) -> Frame | None:
    """Return the grid of all objects; None where there are none."""
    frames = {one.sets.frame for one in objects}
    if None in frames or len(frames) > 1:
        raise ValueError(
            f"the objects lie on {len(frames)} grids, or on none that is known; bring them to one with to()"
        )
    return next(iter(frames), None)


def _system(frame: Frame | None, crs: str | None) -> tuple[str | None, dict[str, Any]]:
    """Return the system to write, "pixels" where there is no place, and the members that name it."""
    if frame is None or frame.to_world() is None:
        return "pixels", {} if frame is None else {"coordinates": PIXELS}
    wanted = crs if crs is not None and frame.crs is not None else frame.crs
    if wanted is None:
        return None, {"coordinates": "map units of the image, whose coordinate system is not stated"}
    if wanted in LONGITUDE_LATITUDE:
        return wanted, {}
    code = wanted.upper().removeprefix("EPSG:")
    name = f"urn:ogc:def:crs:EPSG::{code}" if code.isdigit() else wanted
    return wanted, {"crs": {"type": "name", "properties": {"name": name}}}


def _on_map(shape: Any, frame: Frame, wanted: str | None) -> Any:
    """Return a shape in a coordinate system, with outer rings counter-clockwise there."""
    if wanted == "pixels":
        return shapely.orient_polygons(shapely.transform(shape, lambda points: apply(frame.to_root, points)))
    straight = (wanted is None or wanted == frame.crs) and frame.control is None
    near = shape if straight else shapely.segmentize(shape, _LONGEST)
    parts = []
    for part in shapely.get_parts(near):
        rings = [_mapped(ring, frame, wanted) for ring in (part.exterior, *part.interiors)]
        # Holes lie on the same turn of the world as the ring around them.
        turns = [
            360 * round((rings[0][0, 0] - ring[0, 0]) / 360) if wanted in LONGITUDE_LATITUDE else 0 for ring in rings
        ]
        moved = [ring + (turn, 0) for ring, turn in zip(rings, turns, strict=True)]
        parts += _cut(shapely.Polygon(moved[0], moved[1:]), wanted)
    whole = parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)
    return shapely.orient_polygons(whole)


def _mapped(ring: Any, frame: Frame, wanted: str | None) -> Floats:
    places = to_map(np.asarray(shapely.get_coordinates(ring)), frame, wanted)
    if wanted in LONGITUDE_LATITUDE:
        places = np.column_stack([np.unwrap(places[:, 0], period=360), places[:, 1].clip(-90, 90)])
        if abs(places[-1, 0] - places[0, 0]) > 180:
            raise ValueError(
                "an area goes round a pole, which GeoJSON in degrees cannot show; write it in the image's own system"
            )
    return places


def _cut(polygon: Any, wanted: str | None) -> list[Any]:
    """Return a polygon of continuous longitudes cut at the 180th meridian."""
    low, _, high, _ = polygon.bounds
    if wanted not in LONGITUDE_LATITUDE or (low >= -180 and high <= 180):
        return [polygon]
    first, last = int(np.floor((low + 180) / 360)), int(np.ceil((high + 180) / 360))
    valid = shapely.make_valid(polygon)
    turned = [shapely.affinity.translate(valid, -360.0 * turn) for turn in range(first, last)]
    cut = [shapely.intersection(one, WORLD) for one in turned]
    return [part for one in cut for part in shapely.get_parts(one) if part.geom_type == "Polygon" and part.area > 0]


def _lists(geometry: Mapping[str, Any]) -> dict[str, Any]:
    """Return a geometry with rounded numbers in lists."""

    def listed(part: Any) -> Any:
        return [listed(one) for one in part] if isinstance(part, (tuple, list)) else round(float(part), DECIMALS)

    return {"type": geometry["type"], "coordinates": listed(geometry["coordinates"])}
