"""UTM beside PROJ, through rasterio, all over the grid and far from the central meridian."""

import numpy as np
import pytest

from rscovlm.geometry import utm
from rscovlm.geometry.utm import UtmPlace, utm_of, zone_of


def test_metres_and_degrees_agree_with_proj() -> None:
    transform = pytest.importorskip("rasterio.warp").transform
    rng = np.random.default_rng(3)
    for latitude, longitude, step in zip(
        rng.uniform(-80, 84, 200), rng.uniform(-180, 180, 200), rng.integers(-2, 3, 200), strict=True
    ):
        zone = min(60, max(1, zone_of(latitude, longitude) + int(step) * (abs(latitude) < 80)))
        if abs((longitude - (6 * zone - 183) + 180) % 360 - 180) > 12:
            continue
        try:
            place = utm_of(latitude, longitude, zone=zone)
        except ValueError:
            assert step  # two zones away an easting may be below 0
            continue
        system = f"EPSG:{32600 + zone if place.north else 32700 + zone}"
        (x,), (y,) = transform("EPSG:4326", system, [longitude], [latitude])
        assert abs(place.easting - x) < 1e-5 and abs(place.northing - y) < 1e-5
        found = place.degrees()
        assert abs(found[0] - latitude) < 1e-9 and abs((found[1] - longitude + 180) % 360 - 180) < 1e-9


def test_the_series_is_that_of_wgs_84_as_published() -> None:
    """The numbers to which Karney's series comes on this ellipsoid, as GeographicLib and its ports state them."""
    there = (8.377318206244698e-4, 7.608527773572307e-7, 1.197645503329453e-9, 2.429170607201362e-12, 5.711757677865804e-15, 1.4911177312583895e-17)  # fmt: skip
    back = (8.377321640579488e-4, 5.905870152220203e-8, 1.673482665283997e-10, 2.164798040063042e-13, 3.787978046169573e-16, 7.248748890694155e-19)  # fmt: skip
    assert pytest.approx(there, rel=1e-12, abs=0) == utm._ALPHA
    assert pytest.approx(back, rel=1e-12, abs=0) == utm._BETA


def test_zones_with_the_exceptions_of_the_grid() -> None:
    # Bergen, Longyearbyen, the edges of band X, and both ends of the world (NGA.STND.0037, table 2-2).
    places = {(60.39, 5.32): 32, (78.22, 15.65): 33, (80, 8.9): 31, (80, 9): 33, (80, 41.9): 37, (80, 42): 38}
    places |= {(0, -180): 1, (0, 180): 1, (0, 179.99): 60, (55.9, 5): 31, (64, 5): 31, (71.9, 10): 32}
    assert {place: zone_of(*place) for place in places} == places


@pytest.mark.parametrize(
    ("zone", "easting", "northing", "reason"),
    [(0, 5e5, 5e6, "zone is 0"), (61, 5e5, 5e6, "zone is 61"), (31, 0, 5e6, "easting"), (31, 5e5, 9.9e6, "northing")],
)
def test_places_off_the_grid_are_refused(zone: int, easting: float, northing: float, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        UtmPlace(zone, True, easting, northing)


def test_the_grid_reaches_from_the_equator_to_the_poles() -> None:
    for north, lowest, highest in ((True, 0.0, 9_400_000.0), (False, 600_000.0, 10_000_000.0)):
        for northing in (lowest, highest):
            assert UtmPlace(60, north, 999_999.0, northing).northing == northing
        for northing in (lowest - 1, highest + 1):
            with pytest.raises(ValueError, match="northing"):
                UtmPlace(1, north, 1.0, northing)
    with pytest.raises(ValueError, match="easting"):
        UtmPlace(1, True, 1_000_000.0, 5e6)
    assert utm_of(-80, 0).north is False and utm_of(84, 0).north is True and utm_of(0, 0).northing == 0


def test_zones_are_six_degrees_wide_but_for_norway_and_svalbard() -> None:
    # NGA.STND.0037, table 2-2: where each wider zone begins and ends, the others begin at multiples of 6 degrees.
    wider = {(56, 64): [(3, 12, 32)], (72, 84.01): [(0, 9, 31), (9, 21, 33), (21, 33, 35), (33, 42, 37)]}
    for latitude in (-80, -56, 0, 55.9, 56, 63.9, 64, 71.9, 72, 83.9, 84):
        for longitude in np.arange(-180, 180, 0.5):
            zone = int((longitude + 180) / 6) + 1
            for (low, high), parts in wider.items():
                for west, east, special in parts:
                    if low <= latitude < high and west <= longitude < east:
                        zone = special
            assert zone_of(latitude, float(longitude)) == zone


@pytest.mark.parametrize("latitude", [84.1, -80.1, float("nan")])
def test_the_poles_are_not_covered(latitude: float) -> None:
    with pytest.raises(ValueError, match="UTM covers -80 to 84"):
        utm_of(latitude, 0)
