"""Frames: maps between grids, there and back, and what is refused."""

import dataclasses
import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rscovlm.geometry import Frame
from rscovlm.geometry.affine import IDENTITY, apply, compose, inverse
from tests.geometry.grids import sizes, turned, upright

few = settings(max_examples=100, derandomize=True)


def test_a_window_of_an_overview_lies_where_arithmetic_says() -> None:
    image = Frame(8000, 4000)
    overview = image.resized(1000, 500)
    window = overview.cropped(100, 50, 300, 150).resized(400, 200)
    # One pixel of this window is half a pixel of the overview, which is four pixels of the image.
    assert window.to(image) == (4.0, 0.0, 800.0, 0.0, 4.0, 400.0)
    assert image.to(window) == (0.25, 0.0, -200.0, 0.0, 0.25, -100.0)
    assert (window.width, window.height) == (400, 200)
    assert overview.normalised() == overview.resized(1000, 1000)


@few
@given(one=st.one_of(upright(), turned()), other=st.one_of(upright(), turned()))
def test_there_and_back(one: Frame, other: Frame) -> None:
    points = np.random.default_rng(0).uniform(0, 5000, (20, 2))
    root = apply(one.to_root, points)
    there = apply(one.to(other), points)
    np.testing.assert_allclose(apply(other.to_root, there), root, rtol=1e-8, atol=1e-6)
    back = compose(other.to(one), one.to(other))
    assert one.to(one.resized(one.width, one.height)) == IDENTITY
    size = max(abs(number) for number in (*one.to(other), *other.to(one)))
    # What a double can tell of the shifts, in the smaller pixels.
    shift = max(abs(number) for frame in (one, other) for number in (frame.to_root[2], frame.to_root[5]))
    scale = min(math.hypot(frame.to_root[way], frame.to_root[way + 3]) for frame in (one, other) for way in (0, 1))
    rounding = 4 * size * np.spacing(shift / min(1.0, scale))
    np.testing.assert_allclose(back, IDENTITY, atol=1e-13 * size * size + rounding)


@few
@given(frame=st.one_of(upright(), turned()), width=sizes, height=sizes)
def test_corners_stay_corners_when_resized(frame: Frame, width: int, height: int) -> None:
    resized = frame.resized(width, height)
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], dtype=np.float64)
    there = apply(frame.to_root, corners * [frame.width, frame.height])
    np.testing.assert_allclose(apply(resized.to_root, corners * [width, height]), there, rtol=1e-12, atol=1e-8)


def test_pixels_of_any_grid_have_map_coordinates() -> None:
    world = (0.5, 0.0, 400_000.0, 0.0, -0.5, 3_000_000.0)
    image = Frame(1000, 800, root_to_world=world, crs="EPSG:32617")
    assert image.to_world() == world
    window = image.cropped(200, 100, 600, 500).resized(800, 800)
    assert window.to_world() == (0.25, 0.0, 400_100.0, 0.0, -0.25, 2_999_950.0)
    assert window.crs == "EPSG:32617"
    assert Frame(10, 10).to_world() is None


def test_a_turned_raster_agrees_with_rasterio(tmp_path: Path) -> None:
    rasterio = pytest.importorskip("rasterio")
    turned = rasterio.Affine(86.6, 50.0, 500_000.0, 49.5, -85.7, 4_000_000.0)
    layout = {"driver": "GTiff", "width": 120, "height": 90, "count": 1, "dtype": "uint8", "crs": "EPSG:32618"}
    with rasterio.open(tmp_path / "turned.tif", "w", **layout, transform=turned):
        pass
    with rasterio.open(tmp_path / "turned.tif") as file:
        frame = Frame(file.width, file.height, root_to_world=tuple(file.transform)[:6], crs=str(file.crs))
        # A third of a column and half a row of the file make one of the window below.
        expected = file.xy(20 + 44 / 2, 10 + 33 / 3, offset="ul")
    assert frame.root_to_world is not None
    assert frame.root_to_world[1] != 0
    window = frame.cropped(10, 20, 110, 70).resized(300, 100)
    to_world = window.to_world()
    assert to_world is not None
    np.testing.assert_allclose(apply(to_world, np.array([33.0, 44.0])), expected, rtol=1e-14)


def test_frames_of_two_images_are_not_mixed() -> None:
    here = Frame(10, 10, root_to_world=(1, 0, 0, 0, -1, 0), crs="EPSG:32617")
    there = Frame(10, 10, root_to_world=(1, 0, 500, 0, -1, 0), crs="EPSG:32617")
    with pytest.raises(ValueError, match="different images"):
        here.to(there)
    assert here.to(Frame(10, 10)) == IDENTITY


def test_a_frame_is_a_value() -> None:
    frame = Frame(10, 20, root_to_world=(1, 0, 5, 0, -1, 7), crs="EPSG:4326").cropped(1, 2, 5, 9)
    again = Frame(**dataclasses.asdict(frame))
    assert again == frame
    assert hash(again) == hash(frame)
    assert pickle.loads(pickle.dumps(frame)) == frame
    assert Frame(10, 20) != Frame(20, 10)
    with pytest.raises(dataclasses.FrozenInstanceError):
        frame.width = 3  # type: ignore[misc]


def test_numbers_of_other_types_become_plain_ones() -> None:
    odd: Any = np.array([2, 0, 1, 0, 2, 1])
    frame = Frame(np.int64(5), np.uint8(6), to_root=odd)  # type: ignore[arg-type]
    assert frame == Frame(5, 6, to_root=(2.0, 0.0, 1.0, 0.0, 2.0, 1.0))
    assert {type(value) for value in (frame.width, frame.height)} == {int}
    assert {type(value) for value in frame.to_root} == {float}


def test_a_window_may_reach_over_the_border() -> None:
    tile = Frame(100, 100).cropped(-10, 60, 54, 124)
    assert (tile.width, tile.height) == (64, 64)
    assert apply(tile.to_root, np.zeros(2)).tolist() == [-10.0, 60.0]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"width": 0}, "frame width is 0"),
        ({"height": -3}, "frame height is -3"),
        ({"width": 2.5}, "frame width is 2.5; give an integer"),
        ({"height": "9"}, "frame height is '9'; give an integer"),
        ({"to_root": (1, 0, 0, 0, 1)}, "to_root has 5 numbers"),
        ({"to_root": (1, 0, math.nan, 0, 1, 0)}, "to_root is .*nan.*finite"),
        ({"to_root": (1, 2, 0, 2, 4, 0)}, "to_root is .*flattens"),
        ({"root_to_world": (0, 0, 0, 0, 0, 0)}, "root_to_world is .*flattens"),
        ({"root_to_world": (1, 0, math.inf, 0, 1, 0)}, "root_to_world is .*inf.*finite"),
    ],
)
def test_what_is_no_grid_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Frame(**{"width": 10, "height": 10, **values})


@pytest.mark.parametrize("window", [(5, 0, 5, 9), (0, 9, 5, 9), (9, 0, 5, 9)])
def test_an_empty_window_is_refused(window: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match=r"window \(.* is empty"):
        Frame(10, 10).cropped(*window)


def test_half_pixels_are_no_window() -> None:
    with pytest.raises(ValueError, match="window side is 0.5; give an integer"):
        Frame(10, 10).cropped(0.5, 0, 3, 3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="new height is 0"):
        Frame(10, 10).resized(5, 0)


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e6])
def test_a_map_is_flat_by_its_shape_and_not_by_its_size(scale: float) -> None:
    leaning = (scale, scale, 3.0, scale, scale * (1 + 1e-11), 7.0)
    assert Frame(9, 9, root_to_world=leaning).root_to_world == leaning
    with pytest.raises(ValueError, match="flattens"):
        Frame(9, 9, root_to_world=(scale, scale, 3.0, scale, scale * (1 + 1e-12), 7.0))


@pytest.mark.parametrize("angle", [0, 30, 90, 200])
def test_the_size_of_a_pixel_is_the_root_of_what_it_covers(angle: float) -> None:
    turn = math.radians(angle)
    cos, sin = math.cos(turn), math.sin(turn)
    # 4 x 9 root pixels, turned and mirrored.
    assert Frame(5, 5, to_root=(4 * cos, 9 * sin, 70, 4 * sin, -9 * cos, 80)).root_pixels == pytest.approx(6)


@pytest.mark.parametrize("ground", [0, -0.5, math.inf, math.nan])
def test_metres_per_pixel_are_above_0(ground: float) -> None:
    with pytest.raises(ValueError, match="give metres per pixel above 0"):
        Frame(9, 9, ground=ground)
    assert Frame(9, 9, ground=0.3) == Frame(9, 9)
    assert Frame(9, 9, ground=0.3).cropped(0, 0, 3, 3).ground == 0.3


def test_grids_of_two_systems_are_of_two_images() -> None:
    world = (1, 0, 0, 0, -1, 0)
    with pytest.raises(ValueError, match="different images"):
        Frame(10, 10, root_to_world=world, crs="EPSG:32617").to(Frame(10, 10, root_to_world=world, crs="EPSG:32618"))


def test_tiny_degrees_per_pixel_are_a_map() -> None:
    degrees = (1e-7, 0.0, 12.0, 0.0, -1e-7, 48.0)
    back = compose(inverse(degrees), degrees)
    np.testing.assert_allclose(back, IDENTITY, atol=1e-6)
    assert Frame(9, 9, root_to_world=degrees).to_world() == degrees
