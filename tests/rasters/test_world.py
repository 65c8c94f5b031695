"""Map coordinates in other systems, held against the formulas of Web Mercator and against what a UTM zone's middle is."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from rscovlm.rasters.reader import Place
from rscovlm.rasters.world import in_other_system, in_system, is_degrees, one_way, transformed

pytest.importorskip("rasterio")

RADIUS = 6378137.0
DEGREES = np.array([[13.25, 52.5], [-70.5, -33.25], [151.0, 8.0]])


def mercator(degrees: np.ndarray) -> np.ndarray:
    longitude, latitude = np.deg2rad(degrees).T
    return np.stack([RADIUS * longitude, RADIUS * np.log(np.tan(math.pi / 4 + latitude / 2))], axis=1)


@pytest.mark.parametrize("degrees", ["EPSG:4326", "OGC:CRS84"])
def test_x_comes_before_y_in_both_systems_and_in_both_directions(degrees: str) -> None:
    metres = mercator(DEGREES)
    np.testing.assert_allclose(transformed(DEGREES, degrees, "EPSG:3857"), metres, rtol=1e-9)
    np.testing.assert_allclose(transformed(metres, "EPSG:3857", degrees), DEGREES, rtol=1e-9)
    np.testing.assert_allclose(in_other_system(metres, "EPSG:3857", degrees), DEGREES, rtol=1e-9)
    assert transformed(np.array([[500_000.0, 0.0]]), "EPSG:32633", degrees) == pytest.approx(np.array([[15.0, 0.0]]))


@pytest.mark.parametrize("own", ["EPSG:4326", "OGC:CRS84", "EPSG:3857", None])
def test_coordinates_in_their_own_system_stay_as_they_are(own: str | None) -> None:
    # Metres are no degrees, and need not be where nobody asks for degrees.
    places = DEGREES if own in ("EPSG:4326", "OGC:CRS84") else mercator(DEGREES)
    assert in_other_system(places, own, None) is places
    if own is not None:
        assert in_other_system(places, own, own) is places
    if places is DEGREES:
        for wanted in ("EPSG:4326", "OGC:CRS84"):
            assert in_other_system(places, own, wanted) is places


@pytest.mark.parametrize(
    ("place", "taken"),
    [((720.0, 95.0), True), ((-720.0, -95.0), True), ((720.5, 0.0), False), ((0.0, -95.5), False), ((5e5, 5e6), False)],
)
def test_numbers_that_are_no_degrees_are_refused_by_their_own_system(place: tuple[float, float], taken: bool) -> None:
    # The second place is the wrong one, and the error names it and the system that the image gave.
    places = np.array([[1.0, 2.0], place])
    for own, wanted in (("EPSG:4326", "EPSG:4326"), ("OGC:CRS84", "EPSG:4326"), ("EPSG:4326", "OGC:CRS84")):
        if taken:
            assert in_other_system(places, own, wanted) is places
        else:
            named = re.escape(f"coordinate system, {own}, makes ({place[0]:g}, {place[1]:g})")
            with pytest.raises(ValueError, match=named):
                in_other_system(places, own, wanted)


def test_an_unknown_system_and_a_point_without_a_place_are_named() -> None:
    with pytest.raises(ValueError, match=r"does not say its coordinate system, so EPSG:4326 cannot be computed"):
        in_other_system(DEGREES, None, "EPSG:4326")
    with pytest.raises(ValueError, match=r"coordinates in EPSG:1 cannot be changed to EPSG:4326: "):
        transformed(DEGREES, "EPSG:1", "EPSG:4326")
    globe, behind = "+proj=ortho +lat_0=0 +lon_0=0", np.array([[0.0, 0.0], [120.0, 5.0]])
    with pytest.raises(
        ValueError, match=r"in EPSG:4326 cannot be changed to \+proj=ortho .*outside of projection domain"
    ):
        transformed(behind, "EPSG:4326", globe)
    nothing = np.zeros((0, 2))
    assert transformed(nothing, "EPSG:1", "EPSG:2") is nothing


def test_where_points_may_have_no_place_the_others_get_theirs() -> None:
    # Orthographic by its formula: the half of the globe that is turned away has no place.
    longitude, latitude = (grid.ravel() for grid in np.meshgrid(np.arange(-175.0, 180, 10), np.arange(-85.0, 90, 10)))
    turn, lift = np.deg2rad([longitude, latitude])
    seen = np.abs(longitude) < 90
    globe = "+proj=ortho +lat_0=0 +lon_0=0 +a=1000 +b=1000"
    found = transformed(np.stack([longitude, latitude], axis=1), "+proj=longlat +a=1000 +b=1000", globe, anywhere=True)
    assert (np.isfinite(found).all(axis=1) == seen).all() and np.isinf(found[~seen]).all()
    wanted = np.stack([1000 * np.cos(lift) * np.sin(turn), 1000 * np.sin(lift)], axis=1)
    np.testing.assert_allclose(found[seen], wanted[seen], atol=1e-6)


@pytest.mark.parametrize(
    ("own", "wanted", "one"),
    [
        ("EPSG:32633", "EPSG:4326", True),
        ("EPSG:32633", "OGC:CRS84", True),
        ("EPSG:32633", None, True),
        (None, "EPSG:3857", True),
        ("EPSG:31467", "EPSG:31467", True),
        ("EPSG:31467", "EPSG:4326", False),  # another datum
        ("EPSG:32633", "EPSG:3857", False),
        ("+proj=tmerc +datum=WGS84 +towgs84=1,2,3", "EPSG:4326", False),
        ("EPSG:1", "EPSG:4326", False),
    ],
)
def test_one_way_is_known_where_no_datum_changes(own: str | None, wanted: str | None, one: bool) -> None:
    assert one_way(own, wanted) is one


def test_a_system_that_the_caller_knows_is_named_as_files_name_it() -> None:
    from rasterio.crs import CRS

    nowhere, placed = Place(), Place(to_world=(1.0, 0.0, 0.0, 0.0, -1.0, 0.0), crs="EPSG:32633")
    for spelling in ("EPSG:32633", "epsg:32633", "urn:ogc:def:crs:EPSG::32633", CRS.from_epsg(32633).to_wkt()):
        assert in_system(placed, spelling) == (placed, ())
    taken, notes = in_system(placed, "epsg:3857")
    assert taken.crs == "EPSG:3857" and taken.to_world == placed.to_world
    assert notes == ("its coordinate system, EPSG:32633, is taken for EPSG:3857, as the caller says",)
    assert in_system(nowhere, "EPSG:3857")[1] == ("crs=EPSG:3857 is of no use: it has no map coordinates",)
    for wrong in ("", "  ", "EPSG:1", "nothing"):
        with pytest.raises(ValueError, match=r"give an EPSG code such as 'EPSG:32633', or WKT"):
            in_system(placed, wrong)
    assert is_degrees("EPSG:4326") and is_degrees("EPSG:4258") and not is_degrees("EPSG:3857")
