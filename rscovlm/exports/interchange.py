"""Objects to and from the tables of other libraries: geopandas and supervision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import shapely

from rscovlm.exports.geojson import to_geojson
from rscovlm.geometry import Boxes, Frame, Objects
from rscovlm.rasters.world import WGS84


def to_geopandas(objects: Objects, *, crs: str | None = WGS84) -> Any:
    """Return objects as a ``geopandas.GeoDataFrame``: polygons with label, score where there is one, and pixels.

    Args:
        objects: Labelled boxes with a frame.
        crs: System wanted; None for the image's own. Objects on an image without a place stay in its pixels, and the table has no
            system.

    Raises:
        ModuleNotFoundError: geopandas is not installed.
        ValueError: The objects have no frame, or coordinates cannot be changed.
    """
    import geopandas

    frame = objects.boxes.frame
    collection = to_geojson(objects, crs=crs)
    placed = frame is not None and frame.root_to_world is not None and frame.crs is not None
    system = None if not placed or frame is None else (crs or frame.crs)
    columns = ["geometry", "label", *(["score"] if objects.scores is not None else []), "pixels"]
    if not len(objects):
        return geopandas.GeoDataFrame({name: [] for name in columns}, geometry="geometry", crs=system)
    return geopandas.GeoDataFrame.from_features(collection["features"], crs=system)[columns]


def from_geopandas(table: Any, frame: Frame, *, label: str = "label", score: str = "score") -> Objects:
    """Return the shapes of a ``geopandas.GeoDataFrame`` as labelled boxes on an image: training data, or results to compare.

    Each shape becomes the rectangle of smallest area round it, which a rectangle is itself, as a quadrilateral in pixels.

    Args:
        table: Polygons or lines, in the system of ``frame`` or one that geopandas can change into it; a table without a system is
            taken as pixels of the image.
        frame: The image's grid, ``raster.frame``.
        label: Column of class names.
        score: Column of scores; left out where there is none.

    Raises:
        ValueError: A column is missing, a shape is empty, or the image has no place on the ground and the table has a system.
    """
    if label not in table.columns:
        raise ValueError(f"the table has no column {label!r}; its columns are {list(map(str, table.columns))}")
    if table.crs is not None:
        if frame.root_to_world is None or frame.crs is None:
            raise ValueError("the table has a coordinate system and the image has none; open the image with crs=...")
        table = table.to_crs(frame.crs)
    quads = []
    for row, shape in enumerate(table.geometry):
        if shape is None or shape.is_empty:
            raise ValueError(f"row {row} has no shape; leave it out")
        points = shapely.get_coordinates(shape)
        pixels = points if table.crs is None else frame.pixels(points)
        # Straight on the map is straight in pixels, so a rectangle there is found again.
        around = shapely.oriented_envelope(shapely.multipoints(pixels))
        corners = shapely.get_coordinates(around)[:4]
        if len(corners) < 4:
            raise ValueError(f"row {row} is a {shape.geom_type} without an area; leave it out")
        quads.append(corners.ravel())
    labels = tuple(str(one) for one in table[label])
    boxes = Boxes(np.array(quads, dtype=np.float64).reshape(-1, 8), "quad", frame)
    scores = table[score].to_numpy(dtype=np.float64) if score in table.columns else None
    return Objects(boxes, labels, scores)


def from_supervision(detections: Any, frame: Frame | None = None, *, classes: Sequence[str] | None = None) -> Objects:
    """Return ``supervision.Detections`` as labelled boxes: oriented ones where it holds corners, else horizontal ones.

    Args:
        detections: What a detector or a tool of that library gave.
        frame: The grid in whose pixels they are, such as ``raster.frame``, for exports to maps.
        classes: Names by class number, where the detections hold numbers alone.

    Raises:
        ValueError: Neither names nor numbers with ``classes`` are there.
    """
    names = detections.data.get("class_name")
    if names is None:
        if classes is None or detections.class_id is None:
            raise ValueError("the detections hold no class names; give classes=[...], one name a class number")
        names = [classes[number] for number in detections.class_id.tolist()]
    labels = tuple(str(name) for name in names)
    corners = detections.data.get("xyxyxyxy")
    if corners is not None and len(corners):
        boxes = Boxes(np.asarray(corners, dtype=np.float64).reshape(-1, 8), "quad", frame)
    else:
        boxes = Boxes(np.asarray(detections.xyxy, dtype=np.float64).reshape(-1, 4), "hbb", frame)
    confidence = detections.confidence
    return Objects(boxes, labels, None if confidence is None else np.asarray(confidence, dtype=np.float64))
