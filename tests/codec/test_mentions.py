"""Boxes that a sentence mentions."""

from __future__ import annotations

import pytest

from rscovlm.codec.mentions import mentions

GOOD = (40.0, 5.0, 70.0, 35.0)


@pytest.mark.parametrize(
    "text",
    [
        "<|det|>[[1.2.3, 20, 30, 60], [40, 5, 70, 35]]<|/det|>",
        "<|det|>[[40, 5, 70, 35], [1.2.3, 20, 30, 60]]<|/det|>",
        "a ship <|det|>[[1.2.3, 20, 30, 60]]<|/det|> and another <|det|>[[40, 5, 70, 35]]<|/det|>",
        "<loc_1.2.3><loc_20><loc_30><loc_60> and <loc_40><loc_5><loc_70><loc_35>",
    ],
)
def test_a_number_that_is_none_costs_no_other_box(text: str) -> None:
    assert [one.numbers for one in mentions(text)] == [GOOD]
    # It is the box of its tags, in their space, and not the bare numbers between them.
    tags = "<loc_40><loc_5><loc_70><loc_35>" if "<loc_" in text else "<|det|>[[40, 5, 70, 35]]<|/det|>"
    assert [one.space for one in mentions(text)] == [one.space for one in mentions(tags)] != [None]


def test_boxes_between_the_same_tags_are_cut_where_one_ends() -> None:
    text = "see <|det|>[[10, 20, 30, 60], [40, 5, 70, 35]]<|/det|>."
    first, second = mentions(text)
    assert (first.numbers, second.numbers) == ((10.0, 20.0, 30.0, 60.0), GOOD)
    assert text[first.start : first.end].startswith("<|det|>[[10") and text[second.start : second.end].endswith(
        "<|/det|>"
    )
    assert first.end <= second.start
