"""A page with an image and its objects on a map, in one file that needs no network."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections import Counter
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup
from PIL import Image

from rscovlm.exports.data_url import data_url
from rscovlm.exports.drawing import COLOURS, colours_of
from rscovlm.files import mark, write_text
from rscovlm.geometry import Boxes, Frame, Objects
from rscovlm.geometry.affine import apply
from rscovlm.rasters.crs import read_crs
from rscovlm.rasters.gdal import available
from rscovlm.rasters.gdal_errors import translated
from rscovlm.rasters.view import View
from rscovlm.rasters.world import WGS84, to_map, transformed

MERCATOR = "EPSG:3857"
HIGHEST_LATITUDE = 85.05
"""Where web maps end."""

LARGEST = 2048
"""Pixels of the longer side of the picture in the page."""

_TEMPLATES = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)


def map_page(
    path: str | os.PathLike[str],
    view: View,
    objects: Objects | None = None,
    *,
    steps: Sequence[View] = (),
    title: str = "rscovlm",
    question: str | None = None,
    answer: str | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a page that shows a view with objects and zoom steps on it; labels can be switched, places read off.

    An image with map coordinates is laid on a web map (Mercator) where rasterio is installed; any other is shown in its
    own pixels. The page loads nothing: leaflet 1.9.4 and the picture are inside, and its security policy forbids
    requests and any other script.

    Args:
        path: File to write, ``.html``.
        view: The picture, such as an overview.
        objects: Labelled boxes in any frame of the same image.
        steps: Views that a zoom chain looked at; their windows are drawn, numbered from 1.
        title: Heading.
        question: Shown above the answer.
        answer: Shown in the side panel.
        overwrite: Replace a file that something else wrote.

    Raises:
        ValueError: Objects or steps belong to another image, or have no frame; or another file is there.
    """
    data = _content(view, objects, steps)
    scripts = [_asset("leaflet.js"), (files(__package__) / "map_page.js").read_text("utf-8")]
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    template = _TEMPLATES.from_string((files(__package__) / "map_page.html").read_text("utf-8"))
    page = template.render(
        title=title,
        question=question,
        answer=answer,
        generator=mark("map"),
        # Data, never code: nothing in it can end the element it stands in.
        data=Markup(json.dumps(data, allow_nan=False).replace("<", "\\u003c")),
        scripts=[Markup(script) for script in scripts],
        styles=Markup(_asset("leaflet.css")),
        policy="default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src "
        + " ".join(f"'sha256-{value}'" for value in hashes),
    )
    return write_text(path, page, "map", overwrite=overwrite)


def _content(view: View, objects: Objects | None, steps: Sequence[View]) -> dict[str, Any]:
    """Return everything the page's script shows."""
    geographic = view.frame.to_world() is not None and view.frame.crs is not None and available()
    picture, bounds = _on_mercator(view) if geographic else (view.image.copy(), _pixel_bounds(view.frame))
    picture.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
    shapes = []
    if objects is not None:
        there = objects.to(view.frame)
        rings = _rings(there.boxes, geographic)
        colours = colours_of(objects.labels)
        for row, (label, ring) in enumerate(zip(objects.labels, rings, strict=True)):
            score = None if objects.scores is None else round(float(objects.scores[row]), 4)
            shapes.append({"label": label, "score": score, "ring": ring, "colour": colours[label]})
    windows = [Boxes([[0.0, 0.0, step.frame.width, step.frame.height]], "hbb", step.frame) for step in steps]
    return {
        "geographic": geographic,
        "picture": data_url(picture, "WEBP", quality=85),
        "bounds": bounds,
        "shapes": shapes,
        "counts": Counter(shape["label"] for shape in shapes).most_common(),
        "steps": [
            {"ring": _rings(window.to(view.frame), geographic)[0], "colour": COLOURS[k % len(COLOURS)]}
            for k, window in enumerate(windows)
        ],
    }


def _rings(boxes: Boxes, geographic: bool) -> list[list[list[float]]]:
    """Return rings of (latitude, longitude), or (-y, x) of the original's pixels, as leaflet wants them."""
    corners = boxes.as_kind("quad").coords.reshape(-1, 2)
    frame = boxes.frame
    if frame is None:
        raise ValueError(
            "these objects have no frame, so where they lie is not known; make them with Boxes(..., frame=...)"
        )
    if geographic:
        flipped = to_map(corners, frame, WGS84)[:, ::-1]
    else:
        flipped = apply(frame.to_root, corners)[:, ::-1] * (-1, 1)
    rings: list[list[list[float]]] = flipped.reshape(-1, 4, 2).round(9).tolist()
    return rings


def _pixel_bounds(frame: Frame) -> list[list[float]]:
    (x1, y1), (x2, y2) = apply(frame.to_root, np.array([[0.0, 0.0], [frame.width, frame.height]])).tolist()
    return [[-y2, x1], [-y1, x2]]


def _on_mercator(view: View) -> tuple[Image.Image, list[list[float]]]:
    """Warp a view to web Mercator; return the picture, transparent outside, and its corners in degrees."""
    from rasterio import Affine
    from rasterio.enums import Resampling
    from rasterio.warp import reproject

    frame = view.frame
    affine, crs = frame.to_world(), frame.crs
    if affine is None or crs is None:
        raise ValueError("the view has no map coordinates")
    share = np.linspace(0, 1, 21)
    edges = [(share, 0 * share), (share, 0 * share + 1), (0 * share, share), (0 * share + 1, share)]
    rim = np.concatenate([np.stack(edge, axis=1) for edge in edges]) * (frame.width, frame.height)
    degrees = to_map(rim, frame, WGS84)
    degrees[:, 1] = degrees[:, 1].clip(-HIGHEST_LATITUDE, HIGHEST_LATITUDE)
    ground = transformed(degrees, WGS84, MERCATOR)
    (left, low), (right, high) = ground.min(axis=0), ground.max(axis=0)
    step = max(right - left, high - low) / min(max(frame.width, frame.height), LARGEST)
    width, height = max(1, round((right - left) / step)), max(1, round((high - low) / step))
    bands = np.zeros((4, height, width), dtype=np.uint8)
    shown = np.asarray(view.image)
    opaque = np.full(shown.shape[:2], 255, dtype=np.uint8)
    if view.valid is not None:  # white that is marked as no data, such as a glaring roof, stays to be seen
        opaque[~view.valid & (shown.max(axis=2) == 0)] = 0
    source = np.concatenate([np.moveaxis(shown, -1, 0), opaque[None]])
    target = Affine((right - left) / width, 0, left, 0, (low - high) / height, high)
    with translated(f"a view in {crs[:40]} cannot be laid on a map"):
        reproject(
            source,
            bands,
            src_transform=Affine(*affine),
            src_crs=read_crs(crs),
            dst_transform=target,
            dst_crs=MERCATOR,
            resampling=Resampling.bilinear,
        )
    corners = transformed(np.array([[left, low], [right, high]]), MERCATOR, WGS84)
    return Image.merge("RGBA", [Image.fromarray(band) for band in bands]), corners[:, ::-1].tolist()


def _asset(name: str) -> str:
    return (files(__package__) / "leaflet" / name).read_text("utf-8")
