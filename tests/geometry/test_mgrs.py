"""MGRS references beside GEOTRANS: 40 random places with 0 to 5 digits, as the package mgrs 1.6.0 writes and reads them."""

import pytest

from rscovlm.geometry.mgrs import BANDS, mgrs_place
from rscovlm.geometry.utm import UtmPlace
from rscovlm.metrics.places import great_circle

GEOTRANS = [
    ("10JBR3228626647", -26.8561939, -125.6943002),
    ("50DMF", -71.6456705, 115.5772375),
    ("04KDC87408849", -20.0001732, -159.1204051),
    ("06GUR369447", -44.7320699, -149.0591818),
    ("06DVK859060", -68.4578408, -147.3428733),
    ("34DEH90", -70.2435569, 23.5188192),
    ("35QQF", 23.0397137, 29.4396635),
    ("24PXB91", 14.6012501, -37.1897487),
    ("52CEE0180", -72.2740369, 129.0441402),
    ("33LVH61465690", -11.245022, 14.6469643),
    ("49JGH74", -29.3941976, 113.8336279),
    ("35EML31", -62.9888927, 25.7171723),
    ("33KYV", -18.5257836, 17.3681283),
    ("38PKU656876", 12.5438412, 42.8432606),
    ("26RNV8890", 31.5460743, -26.0676323),
    ("56MMA3798", -3.6322717, 152.4372143),
    ("48JWL9343192358", -30.7981639, 105.9766145),
    ("05TPP8401", 47.8403512, -150.5341839),
    ("53NNG0547677264", 6.1271881, 135.0494968),
    ("37MEN", -6.7849566, 39.4524807),
    ("26ELT6483", -60.5615653, -29.4716851),
    ("30FVE", -54.5949985, -3.7738668),
    ("05XNG22472269", 77.678713, -152.0564884),
    ("53PNR1843", 13.9617254, 135.1712824),
    ("22JBU017218", -24.1877872, -53.9357433),
    ("28PDB", 14.9242502, -15.4649162),
    ("29XMD9052305643", 74.8387672, -9.3246103),
    ("44DNJ8715", -69.2560991, 83.214004),
    ("60RWP514868", 26.0999104, 177.5145325),
    ("24HUJ0303315315", -33.2832507, -41.1150838),
    ("57KVQ6249", -23.0626314, 158.633913),
    ("08FLG", -52.7789531, -137.2239327),
    ("18GUS7809709496", -44.1575659, -76.5245069),
    ("24HVB777453", -39.3409945, -39.2581966),
    ("27DXF19479938", -66.700754, -18.2924421),
    ("09HUB431932", -34.3902784, -130.7062208),
    ("17VNJ653325", 61.6207419, -79.7675615),
    ("41XNL448705", 81.6832726, 65.7784109),
    ("10XDL34", 76.971313, -125.5836587),
    ("40FED", -55.4935503, 57.791387),
]
"""Reference, latitude and longitude of the middle of its square."""


@pytest.mark.parametrize(("reference", "latitude", "longitude"), GEOTRANS)
def test_references_mean_what_geotrans_reads(reference: str, latitude: float, longitude: float) -> None:
    place, side = mgrs_place(reference)
    assert float(great_circle(place.degrees(), (latitude, longitude))) * 1000 < 0.05
    assert side == 10 ** (5 - (len(reference) - 5) // 2)


def test_published_examples() -> None:
    """The Washington Monument (USNG, 18SUJ23480647) and the example of Wikipedia's page on MGRS in Honolulu."""
    monument, side = mgrs_place("18S UJ 2348 0647")
    assert side == 10 and float(great_circle(monument.degrees(), (38.8895, -77.0352))) < 0.03
    honolulu, _ = mgrs_place("4QFJ12345678")
    assert float(great_circle(honolulu.degrees(), (21.3097, -157.9169))) < 0.05


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("4QFJ123", "3 digits"),
        ("61QFJ", "zone 61"),
        ("0QFJ", "zone 0"),
        ("4QSJ", "column S; zone 4 has ABCDEFGH"),
        ("ZAB", "no MGRS reference"),
        ("31CFJ", "not lie in band C"),
        ("", "no MGRS reference"),
        ("4IFJ", "no MGRS reference"),
    ],
)
def test_what_is_no_reference_is_refused(reference: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        mgrs_place(reference)


@pytest.mark.parametrize(("zone", "rows"), [(31, "ABCDEFGHJKLMNPQRSTUV"), (32, "FGHJKLMNPQRSTUVABCDE")])
def test_every_square_of_100_km_is_named_in_the_bands_that_it_reaches(zone: int, rows: str) -> None:
    """All squares east of the central meridian from pole to pole; one that a band's edge cuts is named in both bands."""
    column = "ABCDEFGHJKLMNPQRSTUVWXYZ"[(zone - 1) % 3 * 8 + 4]  # the fifth of its zone: 500 to 600 km
    expected = {}
    for step in range(100):
        for north in (True, False):
            try:
                place = UtmPlace(zone, north, 550_000.0, (step + 0.5) * 100_000)
            except ValueError:
                continue  # beyond the grid
            latitude = place.degrees()[0]
            for number, band in enumerate(BANDS):
                lowest = 8 * number - 80
                highest = 84 if band == "X" else lowest + 8
                # In degrees: half a square is 0.45.
                if (band >= "N") == north and lowest - 1 <= latitude <= highest + 1:
                    expected[f"{zone}{band}{column}{rows[step % 20]}"] = place
    found = {}
    for band in BANDS:
        for row in rows:
            try:
                found[f"{zone}{band}{column}{row}"] = mgrs_place(f"{zone}{band}{column}{row}")[0]
            except ValueError as error:
                assert f"does not lie in band {band}" in str(error)
    assert found == expected
