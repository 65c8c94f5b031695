"""Searching a part of the large scene, or the user's image, for objects, and comparing them with the truth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rscovlm.codec.categories import plural
from rscovlm.demo.tuning import NEW_CLASSES, known_scenes
from rscovlm.engines import Transformers
from rscovlm.exports.matches import MatchedObjects, match_objects
from rscovlm.geometry import Boxes, Frame, Objects
from rscovlm.geometry.tiling import count_tiles
from rscovlm.geometry.window import Window
from rscovlm.processing.resolution import PixelBudget, plan_size
from rscovlm.rasters import Raster, open_image
from rscovlm.scenes import SceneLayout, write_geotiff
from rscovlm.tasks import Detections, detect
from rscovlm.zoom.windows import squeezed

PART = 640
"""Side of the part of the large scene that is searched, in pixels."""

TILES = 400
"""Most tiles that a user's own image is searched in; larger images get larger tiles."""


def classes() -> tuple[str, ...]:
    """Return what is searched for."""
    return (*known_scenes().classes, *NEW_CLASSES)


def search(engine: Transformers, raster: Raster, *, tile: int | None = None, overlap: int | None = None) -> Detections:
    """Search an image for all that the fine-tuned model knows; the default tile keeps to `TILES`.

    Answers are held to the grammar, so that no label is written that was not asked for.
    """
    least = max(
        math.isqrt(engine.budget.max_pixels), math.ceil(math.sqrt(raster.width * raster.height / (0.64 * TILES)))
    )
    # The last row and column of tiles reach back from the border, so that there may be a few more than the area says.
    while count_tiles(raster.width, raster.height, least, least // 5) > TILES:
        least += max(1, least // 50)
    return detect(
        engine, raster, classes(), tile=tile or least, overlap=overlap, batch=48, max_new_tokens=400, constrained=True
    )


def liveliest(layout: SceneLayout) -> Window:
    """Return the square part of a large scene with the most objects of the classes."""
    wanted = set(classes())
    centres = np.array([thing.centre for thing in layout.objects if thing.label in wanted])
    columns, rows = (range(0, side - PART, PART // 2) for side in (layout.width, layout.height))
    corners = [(x, y) for x in columns for y in rows]

    def count(corner: tuple[int, int]) -> int:
        inside = (centres >= corner) & (centres < (corner[0] + PART, corner[1] + PART))
        return int(inside.all(axis=1).sum())

    x, y = max(corners, key=count)
    return Window(x, y, x + PART, y + PART)


def cut_out(raster: Raster, window: Window, path: Path) -> Raster:
    """Write a part of an image as a GeoTIFF of its own, map coordinates included."""
    view = raster.read(window)
    frame = Frame(*window.size, root_to_world=view.frame.to_world(), crs=view.frame.crs)
    write_geotiff(path, frame, lambda x1, y1, x2, y2: view.image.crop((x1, y1, x2, y2)))
    return open_image(path)


def held_against(found: Objects, layout: SceneLayout, window: Window) -> MatchedObjects:
    """Compare what was found in a part of a scene with the truth; objects that the part's border cuts do not count."""
    corner = np.array(window[:2])
    wanted = set(classes())
    inside = [
        (thing.label, quad)
        for thing in layout.objects
        if thing.label in wanted
        for quad in [thing.quad - corner]
        if (quad.max(axis=0) > 0).all() and (quad.min(axis=0) < PART).all()
    ]
    frame = found.boxes.frame
    if not inside:
        return match_objects(found, Objects(Boxes.empty("quad", frame), ()))
    quads = np.stack([quad for _, quad in inside])
    cut = [bool((quad < 0).any() or (quad > PART).any()) for quad in quads]
    # Of an object that is cut, what can be seen, so that a box around that is not taken for a false one.
    seen = np.clip(quads, 0, PART).reshape(-1, 8)
    true = Objects(Boxes(seen, "quad", frame), tuple(label for label, _ in inside))
    return match_objects(found, true, difficult=cut)


def by_class(held: MatchedObjects) -> list[tuple[str, int, int, int]]:
    """Count matched, missed and false objects of each class, and of all."""
    rows = []
    for name in (*classes(), ""):

        def of(labels: Sequence[str], places: Sequence[int], name: str = name) -> int:
            return sum(not name or labels[place] == name for place in places)

        matched = of(held.found.labels, [place for place, _ in held.matched])
        missed, false = of(held.true.labels, held.missed), of(held.found.labels, held.false)
        if not name or matched + missed + false:
            rows.append((name or "all", matched, missed, false))
    return rows


def method(found: Detections, budget: PixelBudget) -> str:
    """Say how an image was searched, and what became of answers that count for nothing.

    Args:
        found: The result.
        budget: The pixels the model sees of a tile.
    """
    sizes = [Window(*tile.window).size for tile in found.tiles]
    shown = " x ".join(str(side) for side in plan_size(*squeezed(*max(sizes)), budget))
    asked = sum(tile.finish is not None for tile in found.tiles)
    if len(sizes) == 1:
        text = f"The image is one tile, which the model sees at {shown} pixels."
    else:
        width, height = (max(sides) for sides in zip(*sizes, strict=True))
        text = (
            f"The image is cut into {len(sizes)} overlapping tiles of up to {width} x {height} pixels, which the model sees at "
            f"{shown} pixels; what several tiles find is merged."
        )
    if asked < len(sizes):
        text += f" The model is asked about {asked} of {len(sizes)}: the others hold no data."
    left = ", ".join(f"{reason.replace('_', ' ')} {count}" for reason, count in sorted(found.problems.items()) if count)
    return f"{text} Left out, by reason: {left}." if left else text


def counted(number: int, name: str) -> str:
    """Return a number with its noun.

    >>> counted(1, "object"), counted(0, "object")
    ('1 object', '0 objects')
    """
    return f"{number:,} {name if number == 1 else plural(name)}"


def places(found: Detections) -> tuple[list[tuple[str, float, float]], tuple[str, str]]:
    """Return the centres of the first objects as they stand in objects.geojson, and what their columns are."""
    features = found.to_geojson()["features"][:8]
    rows = []
    for feature in features:
        rings = feature["geometry"]["coordinates"]
        ring = rings[0][0] if feature["geometry"]["type"] == "MultiPolygon" else rings[0]
        x, y = np.array(ring[:-1]).mean(axis=0)
        rows.append((str(feature["properties"]["label"]), float(x), float(y)))
    if found.frame.to_world() is None:
        return rows, ("x, pixels", "y, pixels")
    return rows, ("longitude", "latitude") if found.frame.crs else ("x, map units", "y, map units")
