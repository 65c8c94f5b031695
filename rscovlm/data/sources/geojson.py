"""A folder of pictures with GeoJSON polygons beside them, in pixels or, where the picture is on the map, in map coordinates."""

from __future__ import annotations

from collections.abc import Container, Iterator

import numpy as np
from numpy.typing import NDArray

from rscovlm.data.sources.folder import PICTURES, Folder, written
from rscovlm.data.sources.registry import source
from rscovlm.geometry import Frame
from rscovlm.rasters import open_image
from rscovlm.rasters.world import WGS84, transformed
from rscovlm.records.record import Annotation, Record
from rscovlm.records.rows import Row, as_list, as_numbers, as_text
from rscovlm.records.tally import Rejected

_NAMES = ("label", "class", "category", "name", "type")


@source(
    "geojson",
    splits=["train", "val", "test"],
    tasks=["detection"],
    licence="your own",
    layout="""<split>/<picture> with <split>/<stem>.geojson (or all at the top for 'train'; or images/ and labels/ in either place):
    a FeatureCollection of Polygon or MultiPolygon
    features, the class in the property label, class, category, name or type. Coordinates are longitude and latitude (or the CRS the
    file names) for a picture with map coordinates, pixels otherwise. A picture without a file of labels has no objects.""",
)
def geojson(folder: Folder, split: str) -> Iterator[Record]:
    """Read one detection record a picture; four-cornered polygons are quadrilaterals, others keep their outline."""
    place = split if (folder.root / split).is_dir() or split != "train" else "."
    apart = (folder.root / place / "images").is_dir()
    pictures, beside = (f"{place}/{name}".removeprefix("./") if apart else place for name in ("images", "labels"))
    deep = pictures != "."
    named = folder.by_stem(pictures, *PICTURES, deep=deep)
    labels = _labels(folder, beside, named, deep=deep) if (folder.root / beside).is_dir() else {}
    classes = tuple(sorted({name for file in labels.values() for name in _classes(folder, file)}))
    for stem, name in named.items():
        with folder.row(name):
            content = _features(folder, labels.pop(stem)) if stem in labels else Row({"features": []})
            image = folder.image(name)
            with open_image(folder.path(name)) as raster:
                frame = raster.frame
            objects = tuple(item for feature in content.rows("features") for item in _objects(feature, content, frame))
            yield Record(stem, "geojson", split, "detection", (image,), objects=objects, categories=classes)
    for file in labels.values():
        folder.tally.drop("labels without a picture", file)


def _labels(folder: Folder, place: str, pictures: Container[str], *, deep: bool) -> dict[str, str]:
    """Give the files of labels by their stem; a .json of a picture is one where no .geojson is."""
    plain = folder.by_stem(place, ".json", deep=deep).items()
    known = {stem: name for stem, name in plain if stem in pictures}
    return known | folder.by_stem(place, ".geojson", deep=deep)


def _features(folder: Folder, file: str) -> Row:
    content = folder.json(file)
    if not isinstance(content.value, dict) or not isinstance(content.get("features"), list):
        raise Rejected("malformed labels", f"{file} is no FeatureCollection: it has no list of features")
    return content


def _classes(folder: Folder, file: str) -> Iterator[str]:
    try:
        features = _features(folder, file).rows("features")
    except ValueError:
        # Its picture's row says so.
        return
    yield from filter(
        None, (_label(feature) for feature in features if feature and isinstance(feature.get("properties"), dict))
    )


def _label(feature: Row) -> str:
    properties = Row(feature.get("properties") or {})
    given = (written(properties.get(key)).strip() for key in _NAMES)
    return next(filter(None, given), "")


def _objects(feature: Row, content: Row, frame: Frame) -> Iterator[Annotation]:
    label, geometry = _label(feature), feature.row("geometry")
    if not label:
        raise Rejected("missing class", f"a feature has none of the properties {', '.join(_NAMES)}")
    if geometry["type"] not in ("Polygon", "MultiPolygon"):
        raise Rejected("unsupported geometry", f"geometry {geometry['type']!r}; only polygons are read")
    parts = [geometry["coordinates"]] if geometry["type"] == "Polygon" else geometry.list("coordinates")
    named = Row(Row(content.get("crs") or {}).get("properties") or {}).get("name", "")
    crs = as_text(named, "the name of the CRS")
    for rings in parts:
        pixels = [_to_pixels(_ring(ring), crs, frame) for ring in as_list(rings, "a polygon")]
        if not pixels:
            raise Rejected("malformed labels", "a polygon has no ring")
        outline = pixels[0][:-1] if np.array_equal(pixels[0][0], pixels[0][-1]) else pixels[0]
        if len(pixels) == 1 and len(outline) == 4:
            yield Annotation(tuple(outline.ravel().tolist()), label, "quad")
            continue
        bounds = (*outline.min(axis=0).tolist(), *outline.max(axis=0).tolist())
        yield Annotation(bounds, label, "hbb", polygons=tuple(tuple(ring.ravel().tolist()) for ring in pixels))


def _ring(points: object) -> NDArray[np.float64]:
    """Give the corners of a ring, (n, 2); heights are left out."""
    corners = [as_numbers(point, "a corner")[:2] for point in as_list(points, "a ring")]
    if len(corners) < 3 or any(len(corner) != 2 for corner in corners):
        raise Rejected("malformed labels", f"a ring has three or more corners x y, not {len(corners)}: {corners[:4]}")
    return np.asarray(corners, float)


def _to_pixels(points: NDArray[np.float64], crs: str, frame: Frame) -> NDArray[np.float64]:
    """Bring labels onto the picture's grid; a picture without map coordinates has labels in pixels."""
    if frame.root_to_world is None or frame.crs is None:
        return points
    code = crs.rpartition(":")[2]
    if code and code == frame.crs.rpartition(":")[2]:
        ground = points
    else:
        given = WGS84 if code in ("", "CRS84", "4326") else f"EPSG:{code}" if code.isdecimal() else crs
        ground = points if given == frame.crs else transformed(points, given, frame.crs)
    return frame.pixels(ground)
