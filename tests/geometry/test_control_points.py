"""Places between control points: against GDAL's thin plate spline, and against the places they were taken from."""

from __future__ import annotations

import pickle
from collections.abc import Iterable

import numpy as np
import pytest
from numpy.typing import NDArray

from rscovlm.geometry import Boxes, Frame
from rscovlm.geometry.control_points import MOST, ControlPoints, spanning

WIDTH, HEIGHT = 25_000, 16_700
"""Pixels of 10 m of a Sentinel-1 image (IW, ground range detected)."""


def ground(pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return longitude and latitude of pixels of a radar image at 66 degrees north over hills some kilometres wide."""
    x, y = pixels[:, 0], pixels[:, 1]
    across, along = (x / WIDTH - 0.5) * 250e3, (y / HEIGHT - 0.5) * 167e3
    across = across + 300 * np.sin(x / 3000) * np.cos(y / 2500)  # the terrain moves points towards the sensor
    turned = np.radians(-13)
    east = across * np.cos(turned) - along * np.sin(turned)
    north = -(across * np.sin(turned) + along * np.cos(turned))
    latitude = 66 + north / 111_320
    return np.stack([12 + east / (111_320 * np.cos(np.radians(latitude))), latitude], axis=1)


def grid(columns: int = 21, rows: int = 10) -> NDArray[np.float64]:
    """Return the pixels of the 210 points that such an image has."""
    x, y = np.meshgrid(np.linspace(0, WIDTH - 1, columns), np.linspace(0, HEIGHT - 1, rows))
    return np.stack([x.ravel(), y.ravel()], axis=1)


def points_of(pixels: NDArray[np.float64]) -> ControlPoints:
    found = spanning(pixels, ground(pixels))
    assert found is not None
    return found


def metres(places: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    off = places - right
    scale = np.stack([111_320 * np.cos(np.radians(right[:, 1])), np.full(len(right), 111_320.0)], axis=1)
    return np.asarray(np.hypot(*(off * scale).T))


def somewhere(count: int = 2000) -> NDArray[np.float64]:
    return np.random.default_rng(0).uniform(0, 1, (count, 2)) * (WIDTH - 1, HEIGHT - 1)


def gdal(
    pixels: Iterable[Iterable[float]], world: Iterable[Iterable[float]], wanted: NDArray[np.float64]
) -> NDArray[np.float64]:
    transform = pytest.importorskip("rasterio.transform", reason="rasterio (extra geo) is not installed")
    from rasterio.control import GroundControlPoint

    points = [GroundControlPoint(y, x, *place) for (x, y), place in zip(pixels, world, strict=True)]
    with transform.GCPTransformer(points, tps=True) as spline:
        return np.stack(spline.xy(wanted[:, 1], wanted[:, 0], offset="ul"), axis=1)


@pytest.mark.parametrize("scale", [1e-5, 1e5])
def test_the_unit_of_pixels_costs_no_digits(scale: float) -> None:
    # A spline does not depend on the unit; equations on numbers of this size would lose most digits.
    pixels, wanted = grid(), somewhere(200)
    places = points_of(pixels).to_world(wanted)
    scaled = spanning(pixels * scale, ground(pixels))
    assert scaled is not None
    np.testing.assert_allclose(scaled.to_world(wanted * scale), places, rtol=0, atol=1e-9)


def test_places_are_those_of_gdals_spline() -> None:
    pixels, wanted = grid(), somewhere()
    points = points_of(pixels)
    ours, theirs, right = points.to_world(wanted), gdal(pixels, ground(pixels), wanted), ground(wanted)
    # The two differ by some per cent of the bend; we did not find out why. Both are held against the ground below.
    assert np.median(metres(ours, theirs)) < 10 and metres(ours, theirs).max() < 100
    from rscovlm.geometry.affine import apply

    affine = metres(apply(points.affine, wanted), right)
    assert np.median(affine) > 600
    assert np.median(metres(ours, right)) < 25 < np.median(affine) / 20
    assert np.median(metres(ours, right)) <= 1.1 * np.median(metres(theirs, right))


def test_the_spline_meets_its_points_and_comes_back() -> None:
    points, wanted = points_of(grid()), somewhere(500)
    assert metres(points.to_world(grid()), ground(grid())).max() < 1e-3
    assert np.abs(points.to_pixels(points.to_world(wanted)) - wanted).max() < 1e-5
    beyond = np.array([[-2000.0, -2000.0], [WIDTH + 2000.0, HEIGHT + 2000.0]])
    assert np.abs(points.to_pixels(points.to_world(beyond)) - beyond).max() < 1e-3
    assert points.to_world(np.empty((0, 2))).shape == points.to_pixels(np.empty((0, 2))).shape == (0, 2)


@pytest.mark.parametrize("turn", range(0, 360, 45))
def test_places_of_turned_images_come_back(turn: int) -> None:
    pixels, wanted = grid(5, 4), somewhere(40)
    cos, sin = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    bent = pixels + 300 * np.sin(pixels[:, ::-1] / 4000)
    points = spanning(pixels, bent @ np.array([[cos, sin], [-sin, cos]]) * (10, -10) + (500_000, 4_000_000))
    assert points is not None and np.abs(points.to_pixels(points.to_world(wanted)) - wanted).max() < 1e-5


def test_the_spline_is_symmetric_where_its_points_are() -> None:
    points = ControlPoints(((0, 0), (10, 0), (0, 10), (10, 10), (5, 5)), ((0, 0), (10, 0), (0, 10), (10, 10), (6, 5)))
    edges = points.to_world(np.array([[0.0, 5.0], [10.0, 5.0], [5.0, 0.0], [5.0, 10.0]]))
    assert edges[0, 0] == pytest.approx(edges[1, 0] - 10) and edges[2, 0] == pytest.approx(edges[3, 0])


def test_an_affine_map_comes_out_as_one() -> None:
    pixels = grid(5, 4)
    points = spanning(pixels, pixels * (10, -10) + (500_000, 4_000_000))
    assert points is not None and points.affine == pytest.approx((10, 0, 500_000, 0, -10, 4_000_000))
    assert points.affine_error < 1e-6 and points.error is not None and points.error < 1e-6


def test_the_error_is_what_points_left_out_are_missed_by() -> None:
    pixels = grid(9, 7)
    world = ground(pixels)
    points = points_of(pixels)
    off = []
    for left_out in range(len(pixels)):
        others = np.delete(np.arange(len(pixels)), left_out)
        rest = spanning(pixels[others], world[others])
        assert rest is not None
        off.append(rest.to_world(pixels[[left_out]])[0] - world[left_out])
    a, b, _, d, e, _ = points.affine
    back = np.linalg.solve(np.array([[a, b], [d, e]]), np.array(off).T)
    assert points.error == pytest.approx(np.sqrt((back**2).sum(axis=0).mean()), rel=1e-6)
    # And it is no promise that does not hold: places between the points are nearer than that.
    wanted = somewhere()
    assert points.error is not None
    assert np.sqrt((metres(points.to_world(wanted), ground(wanted)) ** 2).mean()) < 10 * points.error
    assert spanning(pixels[[0, 3, 40]], world[[0, 3, 40]]).error is None  # type: ignore[union-attr]


def test_the_error_of_the_affine_map_is_what_it_misses_in_pixels() -> None:
    # Two opposite corners of a square lie 3 pixels too far right: the map is 1.5 pixels off at each of the four.
    pixels = np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]])
    world = (pixels + [[3, 0], [0, 0], [0, 0], [3, 0]]) * (20, -5) + (700, 900)
    points = spanning(pixels, world)
    assert points is not None and points.affine_error == pytest.approx(1.5)
    assert points.affine == pytest.approx((20, 0, 730, 0, -5, 900))
    from_pixels = spanning(pixels * 8, world)
    assert from_pixels is not None and from_pixels.affine_error == pytest.approx(12)


def test_many_points_are_thinned_and_the_others_tell_the_error() -> None:
    pixels = grid(60, 50)
    points = points_of(pixels)
    wanted = somewhere()
    assert len(points.pixels) == 3000 and len(points._chosen) <= MOST
    missed = metres(points.to_world(wanted), ground(wanted))
    assert points.error is not None and np.sqrt((missed**2).mean()) < 20 * points.error
    assert np.median(missed) < 5


def test_points_that_span_nothing_are_none() -> None:
    line = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0], [5.0, 5.0]])
    square = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    assert spanning(line, square) is None and spanning(square, line) is None
    assert spanning(square[:2], square[:2]) is None
    assert spanning(square, square * np.nan) is None
    for wrong in (((0, 0), (1, 1)), ((0, 0), (1, 1), (2, 2))):
        with pytest.raises(ValueError, match="span an area"):
            ControlPoints(wrong, wrong)
    with pytest.raises(ValueError, match="3 pixels and 4 places"):
        ControlPoints(((0, 0), (1, 0), (0, 1)), tuple(map(tuple, square)))
    doubled = spanning(np.concatenate([square, square]), np.concatenate([square, square]))
    assert doubled is not None and doubled.to_world(np.array([[0.5, 0.5]])) == pytest.approx(np.array([[0.5, 0.5]]))


def test_every_grid_of_the_image_has_the_same_places() -> None:
    points = points_of(grid())
    whole = Frame(WIDTH, HEIGHT, control=points, crs="EPSG:4326", accuracy=points.error)
    assert whole.root_to_world == points.affine
    part = whole.cropped(5000, 4000, 9000, 8000).resized(1000, 1000)
    assert part.accuracy == points.error and part.control is points
    wanted = np.array([[0.0, 0.0], [500.0, 250.0], [1000.0, 1000.0]])
    original = wanted * 4 + (5000, 4000)
    assert np.allclose(part.places(wanted), points.to_world(original), atol=1e-12)
    assert np.allclose(part.pixels(points.to_world(original)), wanted, atol=1e-4)
    box = Boxes([[10.0, 20.0, 30.0, 40.0]], "hbb", part)
    assert box.to(whole).coords[0] == pytest.approx([5040, 4080, 5120, 4160])
    again = pickle.loads(pickle.dumps(whole))
    assert again == whole and hash(again) == hash(whole)
    with pytest.raises(ValueError, match="different images"):
        box.to(Frame(WIDTH, HEIGHT, root_to_world=points.affine, crs="EPSG:4326"))


def test_affine_frames_place_points_by_their_map() -> None:
    frame = Frame(100, 80, root_to_world=(2.0, 0.0, 10.0, 0.0, -2.0, 50.0)).cropped(10, 10, 60, 60)
    assert frame.places(np.array([[0.0, 0.0]])).tolist() == [[30.0, 30.0]]
    assert frame.pixels(np.array([[30.0, 30.0]])).tolist() == [[0.0, 0.0]]
    for method in (Frame(5, 5).places, Frame(5, 5).pixels):
        with pytest.raises(ValueError, match="has no map coordinates"):
            method(np.zeros((1, 2)))
