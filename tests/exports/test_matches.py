"""Matched, missed and false objects: counted as ap_nc counts them, and drawn so that every reader tells them apart."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from PIL import Image, ImageColor

from rscovlm.exports import MATCH_COLOURS, draw_matches, match_objects
from rscovlm.geometry import Boxes, Frame, Objects
from rscovlm.metrics import ap_nc
from rscovlm.rasters import open_image

# How a reader without one kind of cone sees linear RGB (Machado, Oliveira and Fernandes 2009, severity 1).
READERS = {
    "all cones": np.eye(3),
    "protanopia": np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]),
    "deuteranopia": np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]),
    "tritanopia": np.array([[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]),
}  # fmt: skip
TO_XYZ = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]])  # fmt: skip


def lab(colour: str, reader: str) -> np.ndarray:
    """CIE L*a*b* (D65) of a colour as a reader sees it."""
    value = np.array(ImageColor.getrgb(colour)[:3]) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    xyz = TO_XYZ @ np.clip(READERS[reader] @ linear, 0, 1) / np.array([0.95047, 1.0, 1.08883])
    x, y, z = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("reader", READERS)
def test_no_reader_confuses_two_of_the_colours(reader: str) -> None:
    for one, other in itertools.combinations(MATCH_COLOURS.values(), 2):
        # Two is just noticeable; a line of two pixels wants ten times that.
        assert np.linalg.norm(lab(one, reader) - lab(other, reader)) > 20, (one, other)


def boxes(*rows: list[float], frame: Frame | None = None) -> Objects:
    return Objects(Boxes(list(rows), "hbb", frame), tuple("ship" for _ in rows))


def test_counts_are_those_of_ap_nc() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        corner = rng.uniform(0, 60, (12, 2))
        rows = np.concatenate([corner, corner + rng.uniform(8, 20, (12, 2))], axis=1)
        true, found = boxes(*rows[:8].tolist()), boxes(*(rows[[0, 1, 2, 3, 9, 10]] + rng.normal(0, 1, (6, 4))).tolist())
        held = match_objects(found, true)
        measured = ap_nc([found], [true], iou_thresholds=(0.5,), strict=False)
        assert held.recall == pytest.approx(measured["recall"]) and held.precision == pytest.approx(
            measured["precision"]
        )


def test_nothing_found_has_no_precision_and_nothing_true_no_recall() -> None:
    none = Objects(Boxes.empty("hbb"), ())
    assert match_objects(none, boxes([0, 0, 9, 9])).precision is None
    assert match_objects(boxes([0, 0, 9, 9]), none).recall is None
    held = match_objects(boxes([0, 0, 9, 9]), boxes([0, 0, 9, 9]), difficult=[True])
    assert (held.matched, held.missed, held.false, held.ignored) == ((), (), (), (0,))


def test_each_kind_is_drawn_in_its_colour_where_it_lies() -> None:
    frame = Frame(120, 60)
    true = boxes([5, 5, 35, 35], [45, 5, 75, 35], frame=frame)
    found = boxes([5, 5, 35, 35], [85, 5, 115, 35], frame=frame)
    view = open_image(Image.new("RGB", (120, 60), "#405040")).overview(size=(240, 120))
    drawn = np.asarray(draw_matches(view, match_objects(found, true)))
    for name, left in (("matched", 10), ("missed", 90), ("false", 170)):
        pixels = (drawn == ImageColor.getrgb(MATCH_COLOURS[name])).all(axis=2)
        rows, columns = pixels.nonzero()
        assert left - 2 <= columns.min() <= left + 2 and left + 58 <= columns.max() <= left + 62
        assert rows.min() >= 8 and rows.max() <= 72
    ring = (drawn == ImageColor.getrgb(MATCH_COLOURS["missed"])).all(axis=2)[10]
    assert 0 < ring[95:145].sum() < 50, "missed objects are dashed"
    assert (drawn[40, 200] == ImageColor.getrgb(MATCH_COLOURS["false"])).all(), "false objects are crossed"
