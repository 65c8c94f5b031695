"""Great-circle distances beside geodesics and another formula, and shares counted by hand."""

import numpy as np
import pytest

from rscovlm.metrics import great_circle, place_accuracy
from rscovlm.metrics.places import RADIUS, same_city

GEODESICS = [
    ((-65.8144, 125.0761), (47.4794, -88.1752), 17185.573),
    ((-0.8217, -18.1832), (27.2867, 103.9404), 13202.821),
    ((-73.1053, -169.7949), (60.4377, -24.2039), 17987.857),
    ((47.2104, -179.2418), (-9.8303, 79.7544), 11636.457),
    ((-48.8228, 160.2975), (72.2569, -168.9876), 13643.536),
    ((-85.4197, 14.9085), (79.0468, -42.7665), 18446.774),
    ((-51.0121, -28.038), (-84.7727, -100.191), 4200.661),
    ((88.6578, 129.5808), (-68.2398, -60.2297), 17722.183),
    ((39.8672, 76.029), (78.5593, -28.0415), 5991.838),
]
"""Two places and the kilometres between them on WGS 84, as PROJ 9 computes them (pyproj.Geod)."""


@pytest.mark.parametrize(("one", "two", "kilometres"), GEODESICS)
def test_distances_are_those_of_the_ellipsoid_within_its_flattening(
    one: tuple[float, float], two: tuple[float, float], kilometres: float
) -> None:
    assert float(great_circle(one, two)) == pytest.approx(kilometres, rel=0.006)
    assert float(great_circle(two, one)) == float(great_circle(one, two))


def test_distances_agree_with_the_angle_between_vectors() -> None:
    rng = np.random.default_rng(0)
    places = np.stack([rng.uniform(-90, 90, 400), rng.uniform(-180, 180, 400)], axis=1)
    latitude, longitude = np.radians(places).T
    vectors = np.stack(
        [np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)], axis=1
    )
    one, two = vectors[:200], vectors[200:]
    angle = np.arctan2(np.linalg.norm(np.cross(one, two), axis=1), (one * two).sum(axis=1))
    assert np.allclose(great_circle(places[:200], places[200:]), angle * RADIUS, rtol=1e-9)


def test_distances_over_the_180th_meridian_and_at_the_pole() -> None:
    assert float(great_circle((0, 179.9), (0, -179.9))) == pytest.approx(RADIUS * np.radians(0.2))
    assert float(great_circle((90, 10), (90, -170))) < 1e-6
    assert float(great_circle((90, 0), (-90, 0))) == pytest.approx(np.pi * RADIUS)
    assert float(great_circle((12.5, 7), (12.5, 367))) < 1e-6


@pytest.mark.parametrize("place", [(90.1, 0), (float("nan"), 0), (0, float("inf")), (1, 2, 3)])
def test_what_is_no_place_is_refused(place: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="latitudes from -90 to 90"):
        great_circle(place, (0, 0))


def test_shares_are_counted_over_all_items_in_any_order() -> None:
    north = [0.005, 0.2, 1.5, 6.0, 20.0, 50.0]  # a degree is 111.195 km: 0.6, 22, 167, 667, 2224, 5560 km
    predictions: list[tuple[float, float] | None] = [*((value, 10.0) for value in north), None, None]
    result = place_accuracy(predictions, [(0.0, 10.0)] * 8)
    shares = [result[f"within_{limit}km"] for limit in (1, 25, 200, 750, 2500)]
    assert shares == [1 / 8, 2 / 8, 3 / 8, 4 / 8, 5 / 8]
    assert (result["items"], result["unread"], result["error_km"][6:]) == (8, 2, [None, None])
    assert result["median_km"] == pytest.approx(111.195 * 3.75, rel=1e-4)
    turned = place_accuracy(predictions[::-1], [(0.0, 10.0)] * 8)
    assert {**turned, "error_km": turned["error_km"][::-1]} == result


def test_cities() -> None:
    result = place_accuracy(
        [(0.0, 0.0)] * 4,
        [(0.0, 0.0)] * 4,
        cities=["zurich", "York", "", "anything"],
        true_cities=["Zürich", "New York", "Oslo", ""],
    )
    assert (result["city"], result["cities"]) == (1 / 3, 3)
    assert not same_city("", "") and same_city("東京", "東京") and not same_city("大阪", "東京")
    with pytest.raises(ValueError, match="go together"):
        place_accuracy([None], [(0.0, 0.0)], cities=["x"])
    with pytest.raises(ValueError, match="no items"):
        place_accuracy([], [])


def test_nothing_read_gives_zeros_not_nan() -> None:
    result = place_accuracy([None], [(1.0, 2.0)])
    assert (result["median_km"], result["mean_km"], result["within_2500km"], result["unread"]) == (0, 0, 0, 1)
