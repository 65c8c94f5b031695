"""Numbers of every space by hand, on a grid that is three times as wide as high."""

import numpy as np
import pytest

from rscovlm.codec.layouts import Form
from rscovlm.codec.spaces import SPACES, SpaceName, limits, pixels_per_unit, placed, quantise, restore, spread, written
from rscovlm.geometry import Boxes, Frame

WIDE = Frame(1800, 600)
BOX = [360.0, 60.0, 1260.0, 540.0]  # shares .2 .1 .7 .9
NUMBERS: dict[SpaceName, list[int]] = {
    "pixels": [360, 60, 1260, 540],
    "0-1000": [200, 100, 700, 900],
    "0-999": [200, 100, 699, 899],  # 199.8, 99.9, 699.3, 899.1
    "0-100": [20, 10, 70, 90],
    "0-1": [0, 0, 1, 1],
    "1000 bins": [200, 100, 700, 900],
    "1024 bins": [204, 102, 716, 921],  # 204.8, 102.4, 716.8, 921.6, cut
}
ENDS: dict[SpaceName, list[int]] = {
    "pixels": [0, 0, 1800, 600],
    "0-1000": [0, 0, 1000, 1000],
    "0-999": [0, 0, 999, 999],
    "0-100": [0, 0, 100, 100],
    "0-1": [0, 0, 1, 1],
    "1000 bins": [0, 0, 999, 999],
    "1024 bins": [0, 0, 1023, 1023],
}


@pytest.mark.parametrize("space", SPACES)
def test_a_box_and_the_whole_grid_in_every_space(space: SpaceName) -> None:
    assert quantise(np.array([BOX]), "hbb", space, 0, WIDE).tolist() == [NUMBERS[space]]
    beyond = np.array([[-30.0, -1.0, 1900.0, 700.0], [0.0, 0.0, 1800.0, 600.0]])
    assert quantise(beyond, "hbb", space, 0, WIDE).tolist() == [ENDS[space]] * 2
    assert limits(space, "hbb", WIDE).tolist() == ([1800, 600] * 2 if space == "pixels" else [SPACES[space].units] * 4)
    assert SPACES[space].last(1800) == ENDS[space][2]


@pytest.mark.parametrize("space", [name for name in SPACES if name != "0-1"])
def test_what_is_read_lies_within_half_a_unit(space: SpaceName) -> None:
    found = restore(quantise(np.array([BOX]), "hbb", space, 0, WIDE), "hbb", space, 0, WIDE).coords[0]
    units = SPACES[space].units
    unit = (1.0, 1.0) if units is None else (1800 / units, 600 / units)
    assert (np.abs(found - BOX) <= np.array([*unit, *unit]) / 2 + 1e-9).all()


def test_a_bin_means_its_middle() -> None:
    numbers = np.array([[204, 102, 716, 921]])
    expected = [204.5 * 1800 / 1024, 102.5 * 600 / 1024, 716.5 * 1800 / 1024, 921.5 * 600 / 1024]
    assert restore(numbers, "hbb", "1024 bins", 0, WIDE).coords[0] == pytest.approx(expected)


def test_digits_after_the_point() -> None:
    whole = quantise(np.array([BOX]), "hbb", "0-1", 3, WIDE)
    assert whole.tolist() == [[200, 100, 700, 900]]
    assert written(whole, "hbb", 3) == [["0.200", "0.100", "0.700", "0.900"]]
    assert written(whole, "hbb", 0) == [["200", "100", "700", "900"]]
    turned = quantise(np.array([[900.0, 300, 180, 60, 30.4]]), "obb", "0-1", 3, WIDE)
    # Width and height count along the longer side, both alike; the angle is in whole degrees.
    assert written(turned, "obb", 3) == [["0.500", "0.500", "0.100", "0.033", "30"]]
    assert pixels_per_unit("0-1000", "obb", WIDE).tolist() == [1.8, 0.6, 1.8, 1.8, 1]
    assert pixels_per_unit("0-1000", "obb", Frame(600, 1800)).tolist() == [0.6, 1.8, 1.8, 1.8, 1]


@pytest.mark.parametrize(
    ("form", "numbers", "box"),
    [
        ("hbb", [10, 20, 50, 40], [10, 20, 50, 40]),
        ("obb", [30, 40, 20, 10, 25], [30, 40, 20, 10, 25]),
        ("corners", [10, 20, 50, 40, 25], [30, 30, 40, 20, 25]),
        ("quad", [10, 20, 50, 25, 48, 45, 8, 40], [10, 20, 50, 25, 48, 45, 8, 40]),
        ("point", [10, 20], [10, 20, 10, 20]),
    ],
)
def test_numbers_of_each_form_make_a_box_and_come_back(form: Form, numbers: list[float], box: list[float]) -> None:
    found = placed(np.array([numbers], dtype=float), form, WIDE)
    assert found.coords.tolist() == [box]
    assert spread(found, form, -90, WIDE).tolist() == [numbers]


def test_angles_begin_where_the_dialect_says() -> None:
    boxes = Boxes([[30, 40, 20, 10, angle] for angle in (-89.7, -45, -0.2, 0, 44, 89.4, 89.7)], "obb", WIDE)
    # From -90: what would round to 90 is written as -90.
    assert spread(boxes, "obb", -90, WIDE)[:, 4].tolist() == [-89.7, -45, -0.2, 0, 44, 89.4, -90]
    # From 0: a quarter turn, in which the sides change places.
    quarter = spread(boxes, "obb", 0, WIDE)
    assert np.rint(quarter[:, 4]).tolist() == [0, 45, 0, 0, 44, 89, 0]
    assert quarter[:, 2:4].tolist() == [[10, 20], [10, 20], [20, 10], [20, 10], [20, 10], [20, 10], [10, 20]]
    point = Boxes([[10, 20, 50, 44]], "hbb", WIDE)
    assert spread(point, "point", -90, WIDE).tolist() == [[30, 32]]
    assert spread(boxes[[0]], "point", -90, WIDE).tolist() == [[30, 40]]


def test_the_middle_of_a_box_by_corners_stays_on_the_grid() -> None:
    # A box whose middle lies inside may reach over the border; one whose middle lies outside is moved in.
    boxes = Boxes([[1790, 10, 100, 40, 30], [1900, 700, 100, 40, 30]], "obb", WIDE)
    assert spread(boxes, "corners", -90, WIDE).tolist() == [[1740, -10, 1840, 30, 30], [1750, 580, 1850, 620, 30]]
    whole = quantise(spread(boxes, "corners", -90, WIDE), "corners", "0-1000", 0, WIDE)
    assert whole.tolist() == [[967, -17, 1022, 50, 30], [972, 967, 1028, 1033, 30]]
