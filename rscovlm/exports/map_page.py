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
from rscovlm.exports.ground import LARGEST, MapExtent
from rscovlm.exports.outlines import accuracy_told
from rscovlm.files import mark, write_text
from rscovlm.geometry import Boxes, Frame, Objects
from rscovlm.geometry.affine import apply
from rscovlm.rasters.gdal import available
from rscovlm.rasters.view import View
from rscovlm.rasters.world import WGS84, to_map

READ_OFF = 65
"""Points across and down at which the place is known of a picture that is shown in its own pixels."""

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
    own pixels, as are those round a pole, which that map does not show. The page loads nothing: leaflet 1.9.4 and the picture are inside, and its security policy forbids
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
    own = [(files(__package__) / name).read_text("utf-8") for name in ("map_shapes.js", "map_page.js")]
    scripts = [_asset("leaflet.js"), "".join(own)]
    hashes = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    template = _TEMPLATES.from_string((files(__package__) / "map_page.html").read_text("utf-8"))
    page = template.render(
        title=title,
        question=question,
        answer=answer,
        generator=mark("map"),
        accuracy=accuracy_told(view.frame),
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
    ground = MapExtent.of(view.frame) if available() else None
    picture, bounds = (view.image.copy(), _pixel_bounds(view.frame)) if ground is None else ground.laid_out(view)
    picture.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
    shapes = []
    if objects is not None:
        there = objects.to(view.frame)
        rings = _rings(there.boxes, ground)
        colours = colours_of(objects.labels)
        for row, (label, ring) in enumerate(zip(objects.labels, rings, strict=True)):
            score = None if objects.scores is None else round(float(objects.scores[row]), 4)
            shapes.append({"label": label, "score": score, "ring": ring, "colour": colours[label]})
    windows = [Boxes([[0.0, 0.0, step.frame.width, step.frame.height]], "hbb", step.frame) for step in steps]
    return {
        "geographic": ground is not None,
        "picture": data_url(picture, "WEBP", quality=85),
        "bounds": bounds,
        "shapes": shapes,
        "counts": Counter(shape["label"] for shape in shapes).most_common(),
        "steps": [
            {"ring": _rings(window.to(view.frame), ground)[0], "colour": COLOURS[k % len(COLOURS)]}
            for k, window in enumerate(windows)
        ],
        "degrees": _degrees(view.frame) if ground is None else None,
    }


def _rings(boxes: Boxes, ground: MapExtent | None) -> list[list[list[float]]]:
    """Return rings of (latitude, longitude), or (-y, x) of the original's pixels, as leaflet wants them."""
    quads = boxes.as_kind("quad").coords.reshape(-1, 4, 2)
    frame = boxes.frame
    if frame is None:
        raise ValueError(
            "these objects have no frame, so where they lie is not known; make them with Boxes(..., frame=...)"
        )
    if ground is not None:
        return [ring[:, ::-1].round(9).tolist() for ring in ground.rings(quads, frame)]
    flipped = apply(frame.to_root, quads.reshape(-1, 2))[:, ::-1] * (-1, 1)
    rings: list[list[list[float]]] = flipped.reshape(-1, 4, 2).round(9).tolist()
    return rings


def _pixel_bounds(frame: Frame) -> list[list[float]]:
    (x1, y1), (x2, y2) = apply(frame.to_root, np.array([[0.0, 0.0], [frame.width, frame.height]])).tolist()
    return [[-y2, x1], [-y1, x2]]


def _degrees(frame: Frame) -> list[list[list[float]]] | None:
    """Return latitude and longitude at points of a grid over a picture that is shown in its own pixels, row by row.

    The script reads places off it; None where the picture has no map coordinates, or not everywhere.
    """
    share = np.linspace(0, 1, READ_OFF)
    x, y = np.meshgrid(share * frame.width, share * frame.height)
    try:
        places = to_map(np.stack([x.ravel(), y.ravel()], axis=1), frame, WGS84)
    except ValueError:
        return None
    grid: list[list[list[float]]] = places[:, ::-1].reshape(READ_OFF, READ_OFF, 2).round(6).tolist()
    return grid


def _asset(name: str) -> str:
    return (files(__package__) / "leaflet" / name).read_text("utf-8")
