"""Places in every notation that people and models write, each beside the same place in plain degrees."""

import random
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rscovlm.codec.places import read_place, write_place
from rscovlm.geometry.utm import utm_of
from rscovlm.metrics.places import great_circle

SYDNEY, PARIS, HANGZHOU = (-33.8688, 151.2093), (48.8566, 2.3522), (30.2741, 120.1551)


@given(
    st.floats(-90, 90),
    st.floats(-180, 180),
    st.text(st.characters(categories=["Lu"]), min_size=1, max_size=12).filter(lambda name: name.strip() == name),
)
def test_what_training_writes_is_read_back(latitude: float, longitude: float, city: str) -> None:
    read = read_place(write_place(latitude, longitude, "A" + city))
    assert read.coordinates is not None and not read.problems and read.city
    assert float(great_circle(read.coordinates, (latitude, longitude))) < 0.02
    bare = read_place(write_place(latitude, longitude))
    assert (bare.coordinates, bare.city) == (read.coordinates, "")


@pytest.mark.parametrize(
    ("text", "place", "city"),
    [
        ("[Hangzhou,(30.2741,120.1551)]", HANGZHOU, "Hangzhou"),
        ("[Hangzhou, (30.2741, 120.1551", HANGZHOU, "Hangzhou"),
        ("33.8688 S, 151.2093 E", SYDNEY, ""),
        ("Sydney: S33.8688 E151.2093", SYDNEY, "Sydney"),
        ("Sydney (33.8688° S, 151.2093° E)", SYDNEY, "Sydney"),
        ("151.2093 E, 33.8688 S", SYDNEY, ""),
        ("33°52'07.7\"S 151°12'33.5\"E", SYDNEY, ""),
        ("33 deg 52 min 7.7 sec South, 151 deg 12 min 33.5 sec East", SYDNEY, ""),
        ("N 48° 51.396' E 2° 21.132'", PARIS, ""),
        ("48:51:23.8N 2:21:07.9E", PARIS, ""),
        ("−33.8688, 151.2093", SYDNEY, ""),
        ("３３．８６８８Ｓ，１５１．２０９３Ｅ", SYDNEY, ""),
        ("lat: 48.8566, lon: 2.3522", PARIS, ""),
        ("longitude 2.3522 and latitude 48.8566", PARIS, ""),
        ('{"city": "São Paulo", "latitude": -23.55, "longitude": -46.63}', (-23.55, -46.63), "São Paulo"),
        ('{"lng": -46.63, "lat": -23.55, "city": "X"}', (-23.55, -46.63), "X"),
        ('{"type": "Point", "coordinates": [2.3522, 48.8566]}', PARIS, ""),
        ("POINT (2.3522 48.8566)", PARIS, ""),
        ("(lon, lat) = (2.3522, 48.8566)", PARIS, ""),
        ("This image shows Rome, Italy at 41.9 N, 12.5 E.", (41.9, 12.5), "Rome, Italy"),
        ("The city is Lyon, coordinates: 45.76, 4.84", (45.76, 4.84), "Lyon"),
        ("(30,120)", (30, 120), ""),
        ("[東京, (35.68, 139.69)]", (35.68, 139.69), "東京"),
        ("31U 452512 5411704", (48.8566, 2.3527), ""),
        ("zone 33 north, 500000 m E, 5000000 m N", (45.1534772, 15), ""),
        ("EPSG:32756 334368 6251018", (-33.8688, 151.2093), ""),
        ("MGRS: 18S UJ 23480 06470", (38.8895, -77.0352), ""),
    ],
)
def test_notations_mean_the_same_place(text: str, place: tuple[float, float], city: str) -> None:
    read = read_place(text)
    assert read.coordinates is not None, read
    assert float(great_circle(read.coordinates, place)) < 0.1
    assert (read.city, read.problems) == (city, {})


@pytest.mark.parametrize(
    ("text", "order", "place", "problems"),
    [
        ("120.1551, 30.2741", "latitude_first", HANGZHOU, {"order_swapped": 1}),
        ("48.8566, 2.3522", "longitude_first", (2.3522, 48.8566), {}),
        ("48.8566, 2.3522", None, PARIS, {"order_guessed": 1}),
        ("120.1551, 30.2741", None, HANGZHOU, {"order_inferred": 1}),
        ("30.2741, 120.1551", "longitude_first", HANGZHOU, {"order_swapped": 1}),
        ("48,8566 N; 2,3522 E", "latitude_first", PARIS, {"decimal_comma": 1}),
        ("(30.2, 275.3)", "latitude_first", (30.2, -84.7), {"longitude_wrapped": 1}),
        ("-33.8688 S, 151.2093 E", "latitude_first", SYDNEY, {"sign_and_hemisphere": 1}),
        ("(-90, 12.5)", "latitude_first", (-90, 12.5), {}),
        ("(90, -180)", "latitude_first", (90, -180), {}),
        ("(-89.5, 360)", "latitude_first", (-89.5, 0), {"longitude_wrapped": 1}),
        ("48.8566, 2.3522 or 51.5, -0.1", "latitude_first", PARIS, {"several_places": 1}),
        ("33S 300000 4000000", "latitude_first", (-54.1092, 11.9404), {"hemisphere_guessed": 1}),
        ("zone 33 500000 5000000", "latitude_first", (45.1535, 15), {"hemisphere_guessed": 1}),
    ],
)
def test_what_is_settled_is_counted(text: str, order: str | None, place: tuple[float, float], problems: object) -> None:
    read = read_place(text, order=order)  # type: ignore[arg-type]  # the parameters of a table
    assert read.coordinates is not None
    assert float(great_circle(read.coordinates, place)) < 0.1
    assert read.problems == problems


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("(95, 200)", "latitude_out_of_range"),
        ("91 N, 10 E", "latitude_out_of_range"),
        ("lat 100, lon 10", "latitude_out_of_range"),
        ("(12, 400)", "longitude_out_of_range"),
        ("-33.9 N, 18.4 E", "contradiction"),
        ("latitude 33.9 E, 18.4 N", "contradiction"),
        ("48°61'N 2°10'E", "minutes_out_of_range"),
        ("61QFJ 12 34", "bad_grid_reference"),
        ("UTM 61N 500000 5000000", "bad_grid_reference"),
        ("There are 2 ships and 3 planes.", "no_coordinates"),
        ("I cannot tell.", "no_coordinates"),
        ("1e5, 3", "no_coordinates"),
        ("(nan, inf)", "no_coordinates"),
        ("", "no_coordinates"),
    ],
)
def test_what_is_no_place_has_no_coordinates_and_a_reason(text: str, reason: str) -> None:
    read = read_place(text)
    assert read.coordinates is None
    assert reason in read.problems


@pytest.mark.parametrize(("text", "city"), [("Oslo", "Oslo"), ("City: Oslo", "Oslo"), ("[Oslo, (unknown)]", "Oslo")])
def test_a_city_without_coordinates_is_kept(text: str, city: str) -> None:
    assert read_place(text).city == city


@given(st.floats(-80, 83.9), st.floats(-179.99, 179.99))
def test_utm_is_read_as_the_place_it_was_made_of(latitude: float, longitude: float) -> None:
    place = utm_of(latitude, longitude)
    text = f"{place.zone} {'north' if place.north else 'south'} {place.easting:.1f} {place.northing:.1f}"
    read = read_place(text)
    assert read.notation == "utm" and read.coordinates is not None and not read.problems
    assert float(great_circle(read.coordinates, (latitude, longitude))) < 0.001
    assert read.coordinates == tuple(round(number, 7) for number in read.coordinates)  # a centimetre


@given(st.text(max_size=200))
def test_any_text_is_read_without_an_error(text: str) -> None:
    read = read_place(text)
    assert (read.coordinates is None) == (read.notation is None)
    assert read.coordinates is not None or read.problems


def test_long_answers_are_read_in_no_time() -> None:
    rng = random.Random(0)
    noise = "".join(rng.choice("0123456789NSEW°'\" ,.-()[]latond") for _ in range(200_000))
    parts = [
        "1 ",
        "9",
        "N ",
        "lat ",
        "1°",
        "1° 1' ",
        "(",
        "[a ",
        "city:",
        "at ",
        '"city":"\\',
        " ",
        "12N ",
        "1:1:",
        "1,1",
    ]
    began = time.process_time()
    for text in [part * (200_000 // len(part)) for part in parts] + [noise]:
        read_place(text)
    assert time.process_time() - began < 3


@pytest.mark.parametrize(
    ("latitude", "longitude", "city", "reason"),
    [
        (91, 0, "", "latitude is 91"),
        (float("nan"), 0, "", "latitude is nan"),
        (0, 361, "", "longitude is 361"),
        (0, 0, "a]b", "without brackets"),
        (0, 0, "a\nb", "in one line"),
    ],
)
def test_what_is_no_place_is_not_written(latitude: float, longitude: float, city: str, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        write_place(latitude, longitude, city)
