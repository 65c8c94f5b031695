"""Where the map page puts a picture and its objects: beside rasterio's own warp and bounds."""

from __future__ import annotations

import base64
import html
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from rscovlm.exports import map_page
from rscovlm.exports.outlines import accuracy_told
from rscovlm.geometry import Boxes, Frame, Objects
from rscovlm.rasters import View
from rscovlm.tasks.boxes import frame_of as row_frame
from rscovlm.tasks.boxes import frame_row
from tests.exports.test_outlines import PLACES, SIDE, frame_of
from tests.geometry.test_control_points import HEIGHT, WIDTH, grid, ground, metres, points_of

warp = pytest.importorskip("rasterio.warp", reason="rasterio (extra geo) is not installed")

MERCATOR = [
    "UTM 60S over Fiji",
    "UTM 33N",
    "degrees, 178 to 182",
    "degrees, 0 to 360",
    "degrees, 200 to 240",
    "degrees of NAD 83, 170 to 210",
    "Mercator of the Pacific",
    "Mercator of the world",
    "Europe, equal area",
]
BOX = (0.4 * SIDE, 0.3 * SIDE, 0.6 * SIDE, 0.5 * SIDE)


def content_of(path: Path) -> dict[str, Any]:
    found = re.search(
        r'<script type="application/json" id="content">(.*?)</script>', path.read_text("utf-8"), re.DOTALL
    )
    assert found is not None
    content: dict[str, Any] = json.loads(html.unescape(found[1]))
    content["image"] = Image.open(io.BytesIO(base64.b64decode(content["picture"].split(",", 1)[1]))).convert("RGBA")
    return content


def page_of(frame: Frame, folder: Path, picture: NDArray[np.uint8] | None = None) -> dict[str, Any]:
    """Return what a page shows of an image with a white box on grey."""
    if picture is None:
        picture = np.full((frame.height, frame.width, 3), 90, np.uint8)
        x1, y1, x2, y2 = (int(side) for side in BOX)
        picture[y1:y2, x1:x2] = 250
    objects = Objects(Boxes([list(BOX)], "hbb", frame), ("field",))
    return content_of(map_page(folder / "a.html", View(Image.fromarray(picture), frame), objects))


@pytest.mark.parametrize("name", MERCATOR)
def test_bounds_are_those_of_rasterio(name: str, tmp_path: Path) -> None:
    frame = frame_of(name)
    content = page_of(frame, tmp_path)
    corners = frame.places(np.array([[0.0, 0.0], [SIDE, SIDE]]))
    assert frame.crs is not None
    west, south, east, north = warp.transform_bounds(
        frame.crs, "EPSG:4326", *corners.min(axis=0), *corners.max(axis=0), densify_pts=201
    )
    if east < west:
        east += 360
    if west >= 180:
        west, east = west - 360, east - 360
    south, north = max(south, -85.05), min(north, 85.05)
    pixel = max(east - west, north - south) / SIDE
    assert content["geographic"] and content["degrees"] is None
    assert np.ravel(content["bounds"]) == pytest.approx([south, west, north, east], abs=0.6 * pixel)


def test_a_picture_beside_the_horizon_is_shown_though_corners_of_its_bounds_lie_behind(tmp_path: Path) -> None:
    # Of the picture every place is seen, of the box of longitudes and latitudes around it not.
    transform = (2e6 / SIDE, 0.0, 4e6, 0.0, -3e6 / SIDE, 2e6)
    frame = Frame(SIDE, SIDE, root_to_world=transform, crs="+proj=ortho +lat_0=40 +lon_0=0 +datum=WGS84")
    content = page_of(frame, tmp_path)
    (south, west), (north, east) = content["bounds"]
    west_found, south_found, east_found, north_found = warp.transform_bounds(
        frame.crs, "EPSG:4326", 4e6, -1e6, 6e6, 2e6, densify_pts=201
    )
    assert (west, south) == pytest.approx((west_found, south_found), abs=0.3)
    assert (east, north) == pytest.approx((east_found, north_found), abs=0.3)
    opaque = np.asarray(content["image"])[..., 3] > 0
    assert 0.3 < opaque.mean() < 0.95 and not opaque[-1, -1]


@pytest.mark.parametrize("name", MERCATOR)
def test_objects_lie_on_what_the_picture_shows(name: str, tmp_path: Path) -> None:
    """The white field of the picture, found in its pixels, is where the ring of its box is."""
    content = page_of(frame_of(name), tmp_path)
    (south, west), (north, east) = content["bounds"]
    shown = np.asarray(content["image"])
    height, width = shown.shape[:2]
    rows, columns = np.nonzero((shown[..., 0] > 170) & (shown[..., 3] > 128))
    y = np.arcsinh(np.tan(np.radians([south, north])))
    latitude = np.degrees(np.arctan(np.sinh(y[1] - (y[1] - y[0]) * (rows + 0.5) / height)))
    longitude = west + (east - west) * (columns + 0.5) / width
    ring = np.array(content["shapes"][0]["ring"])
    degree = max((east - west) / width, (north - south) / height)
    assert longitude.min() == pytest.approx(ring[:, 1].min(), abs=2 * degree)
    assert longitude.max() == pytest.approx(ring[:, 1].max(), abs=2 * degree)
    assert latitude.min() == pytest.approx(ring[:, 0].min(), abs=2 * degree)
    assert latitude.max() == pytest.approx(ring[:, 0].max(), abs=2 * degree)


@pytest.mark.parametrize("name", ["UTM 33N", "Europe, equal area", "degrees, 178 to 182"])
def test_the_picture_is_the_one_that_rasterio_warps(name: str, tmp_path: Path) -> None:
    from rasterio import Affine
    from rasterio.enums import Resampling

    frame = frame_of(name)
    cells = np.random.default_rng(0).integers(40, 215, (SIDE // 20, SIDE // 20, 3)).astype(np.uint8)
    picture = np.asarray(Image.fromarray(cells).resize((SIDE, SIDE), Image.Resampling.BICUBIC))
    content = page_of(frame, tmp_path, picture)
    (south, west), (north, east) = content["bounds"]
    middle = (west + east) / 2
    target = f"+proj=merc +a=6378137 +b=6378137 +lon_0={middle} +units=m +nadgrids=@null"
    xs = [6378137 * np.radians(value - middle) for value in (west, east)]
    ys = [6378137 * np.arcsinh(np.tan(np.radians(value))) for value in (south, north)]
    width, height = content["image"].size
    there = Affine((xs[1] - xs[0]) / width, 0, xs[0], 0, (ys[0] - ys[1]) / height, ys[1])
    theirs = np.zeros((3, height, width), np.uint8)
    assert frame.root_to_world is not None
    warp.reproject(
        np.moveaxis(picture, -1, 0),
        theirs,
        src_transform=Affine(*frame.root_to_world),
        src_crs=frame.crs,
        dst_transform=there,
        dst_crs=target,
        resampling=Resampling.bilinear,
    )
    ours = np.asarray(content["image"])
    both = (theirs.sum(axis=0) > 0) & (ours[..., 3] > 250)
    assert both.mean() > 0.5
    assert np.abs(ours[..., :3].astype(int) - np.moveaxis(theirs, 0, -1))[both].mean() < 4  # WebP is lossy


@pytest.mark.parametrize("name", [name for name in PLACES if "pole" in name.lower()])
def test_round_a_pole_the_picture_is_shown_as_it_is(name: str, tmp_path: Path) -> None:
    """A web map ends at 85.05 degrees: there the page shows the whole picture in its own pixels, and tells places."""
    frame = frame_of(name)
    content = page_of(frame, tmp_path)
    assert not content["geographic"] and content["bounds"] == [[-SIDE, 0], [0, SIDE]]
    assert np.asarray(content["image"])[..., 3].min() == 255 and content["image"].size == (SIDE, SIDE)
    assert content["shapes"][0]["ring"][0] == [-BOX[1], BOX[0]]
    degrees = np.array(content["degrees"])
    share = np.linspace(0, SIDE, len(degrees))
    for row, column in ((0, 0), (3, 40), (64, 64)):
        (place,) = frame.places(np.array([[share[column], share[row]]]))
        longitude, latitude = warp.transform(frame.crs, "EPSG:4326", [place[0]], [place[1]])
        assert degrees[row, column] == pytest.approx([latitude[0], longitude[0]], abs=1e-5)


def test_an_image_placed_by_control_points_lies_where_they_say(tmp_path: Path) -> None:
    points = points_of(grid())
    whole = Frame(WIDTH, HEIGHT, control=points, crs="EPSG:4326", accuracy=points.error)
    small = whole.resized(SIDE, SIDE * HEIGHT // WIDTH)
    content = page_of(small, tmp_path)
    corners = np.array([[BOX[0], BOX[1]], [BOX[2], BOX[1]], [BOX[2], BOX[3]], [BOX[0], BOX[3]]])
    right = ground(corners * (WIDTH / small.width, HEIGHT / small.height))
    ring = np.array(content["shapes"][0]["ring"])[:, ::-1]
    for corner in right:
        assert metres(ring, np.broadcast_to(corner, ring.shape)).min() < 100  # of 250 km
    (_south, west), (_north, east) = content["bounds"]
    shown = np.asarray(content["image"])
    _rows, columns = np.nonzero((shown[..., 0] > 170) & (shown[..., 3] > 128))
    longitude = west + (east - west) * (columns + 0.5) / shown.shape[1]
    assert longitude.min() == pytest.approx(ring[:, 0].min(), abs=0.04)
    assert longitude.max() == pytest.approx(ring[:, 0].max(), abs=0.04)
    told = accuracy_told(whole)
    assert told is not None and told in (tmp_path / "a.html").read_text("utf-8")
    assert accuracy_told(Frame(5, 5)) is None


def test_what_is_said_of_accuracy_names_how_places_were_found() -> None:
    fitted = Frame(30, 20, root_to_world=(1.0, 0.0, 5.0, 0.0, -1.0, 9.0), crs="EPSG:32633", accuracy=0.2345)
    said = "places are {} ground control points: expect errors of 0.234 pixels (r.m.s.)"
    assert accuracy_told(fitted) == said.format("fitted to")
    bent = Frame(WIDTH, HEIGHT, control=points_of(grid(5, 4)), crs="EPSG:4326", accuracy=0.2345)
    assert accuracy_told(bent) == said.format("interpolated between")


def test_the_row_of_an_image_keeps_its_place_and_accuracy() -> None:
    points = points_of(grid(5, 4))
    for frame in (
        Frame(WIDTH, HEIGHT, control=points, crs="EPSG:4326", accuracy=points.error),
        Frame(30, 20, root_to_world=(1.0, 0.0, 5.0, 0.0, -1.0, 9.0), crs="EPSG:32633", accuracy=0.2),
        Frame(30, 20, root_to_world=(1.0, 0.0, 5.0, 0.0, -1.0, 9.0)),
        Frame(30, 20),
    ):
        row = frame_row(frame)
        assert row_frame(json.loads(json.dumps(row))) == frame
        assert ("accuracy" in row) == (frame.accuracy is not None)
