"""Rewards beside pixels counted one by one, and the ends of their scale."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from rscovlm.codec import Codec
from rscovlm.points.rewards import set_rewards

REWARDS = set_rewards(Codec.preset("rscovlm-v1"))
SIZE = (96, 80)
ROOF = [[[10, 10, 50, 10, 50, 40, 10, 40]]]


def said(*boxes: tuple[int, int, int, int]) -> str:
    return "\n".join(f"[({a},{b}),({c},{b}),({c},{d}),({a},{d}),({a},{b})] roof" for a, b, c, d in boxes)


def reward(name: str, text: Any, truth: Any = ROOF) -> float | None:
    (value,) = REWARDS[name]([text], truth=[truth], size=[SIZE], prompts=["x"], completion_ids=[[1]])
    return value


BOX = st.tuples(st.integers(0, 60), st.integers(0, 50), st.integers(1, 30), st.integers(1, 28)).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)


@given(st.lists(BOX, max_size=4), st.lists(BOX, max_size=4))
def test_areas_are_those_of_pixels(found: list[Any], true: list[Any]) -> None:
    masks = []
    for boxes in (found, true):
        mask = np.zeros(SIZE[::-1], dtype=bool)
        for a, b, c, d in boxes:
            mask[b:d, a:c] = True
        masks.append(mask)
    both, either = (masks[0] & masks[1]).sum(), (masks[0] | masks[1]).sum()
    total = masks[0].sum() + masks[1].sum()
    truth = [[[a, b, c, b, c, d, a, d]] for a, b, c, d in true]
    text = said(*found) if found else "There are none."
    assert reward("mask_iou", text, truth) == pytest.approx(both / either if either else 1.0)
    assert reward("change_f1", text, truth) == pytest.approx(2 * both / total if total else 1.0)
    assert reward("points_format", text, truth) == 1.0


def test_polygons_with_holes_beside_a_drawn_mask() -> None:
    outer, hole = [(8, 6), (80, 14), (70, 70), (12, 60)], [(30, 30), (50, 30), (50, 50), (30, 50)]
    big = Image.new("L", (SIZE[0] * 8, SIZE[1] * 8))
    ImageDraw.Draw(big).polygon([(x * 8, y * 8) for x, y in outer], fill=1)
    ImageDraw.Draw(big).polygon([(x * 8, y * 8) for x, y in hole], fill=0)
    mask = np.asarray(big, dtype=bool)
    roof = np.zeros_like(mask)
    roof[80:320, 80:400] = True
    rings = ",".join("[" + ",".join(f"({x},{y})" for x, y in [*ring, ring[0]]) + "]" for ring in (outer, hole))
    value = reward("mask_iou", f"{rings} roof")
    assert value == pytest.approx((mask & roof).sum() / (mask | roof).sum(), abs=0.01)


@pytest.mark.parametrize(
    ("text", "iou", "points_format"),
    [
        (said((10, 10, 50, 40)), 1.0, 1.0),
        ("There are none.", 0.0, 1.0),
        ("I do not know.", 0.0, 0.0),
        ("", 0.0, 0.0),
        ("[(10,10),(50,10),(50,40),(10,40),(20,20)] roof", None, 0.5),  # left open
        ([{"role": "assistant", "content": said((10, 10, 50, 40))}], 1.0, 1.0),
        ([{"role": "assistant", "content": [{"type": "text", "text": said((10, 10, 50, 40))}]}], 1.0, 1.0),
        ([], 0.0, 0.0),
    ],
)
def test_ends_of_the_scale(text: Any, iou: float | None, points_format: float) -> None:
    if iou is not None:
        assert reward("mask_iou", text) == reward("change_f1", text) == iou
    assert reward("points_format", text) == points_format


def test_evidence_is_where_the_answer_points() -> None:
    assert reward("evidence", "[(10,10),(50,40)],[(20,20),(30,30)],[(60,60)] roof") == 1.0
    assert reward("evidence", "[(10,10),(50,40)],[(20,20),(70,70)] roof") == 0.5
    assert reward("evidence", said((12, 12, 20, 20), (60, 60, 70, 70))) == 0.5
    assert reward("evidence", "There are none.") is None


def test_nothing_changed_is_right_when_nothing_did() -> None:
    assert reward("change_f1", "There are none.", []) == 1.0
    assert reward("change_f1", said((10, 10, 50, 40)), []) == 0.0
    assert reward("change_f1", "nonsense", []) == 0.0


def test_a_true_ring_of_two_points_is_refused() -> None:
    with pytest.raises(ValueError, match="4 numbers"):
        reward("mask_iou", "", [[[1, 2, 3, 4]]])
