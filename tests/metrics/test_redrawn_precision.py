"""Redrawing from one order gives what matching's own redraws give, draw by draw."""

from typing import Any

import numpy as np
import pytest

from rscovlm.metrics.ap_nc import headlines
from rscovlm.metrics.matched_detections import DEFAULT_THRESHOLDS, Board, settle
from rscovlm.metrics.redrawn_precision import can_redraw, redrawn_headlines
from tests.metrics.scenes import scenes


def sides(count: int, seed: int, *, difficult: bool) -> tuple[list[Any], list[Any]]:
    found, true = scenes(count, seed=seed, boxes=8.0, classes=4)
    rng = np.random.default_rng(seed)
    mine: list[Any] = [{"boxes": item["boxes"], "labels": item["labels"]} for item in found]
    # Some boxes twice, so that rows alike and rivals for one true box occur.
    for item in mine[::3]:
        item["boxes"] = np.concatenate([item["boxes"], item["boxes"][:2]])
        item["labels"] = [*item["labels"], *item["labels"][:2]]
    theirs: list[Any] = [dict(item) for item in true]
    for item in theirs if difficult else ():
        item["difficult"] = (rng.random(len(item["labels"])) < 0.3).astype(int)
    return mine, theirs


@pytest.mark.parametrize("protocol", ["dota", "rscovlm"])
@pytest.mark.parametrize("interpolation", ["11point", "101point"])
@pytest.mark.parametrize("difficult", [False, True])
@pytest.mark.parametrize("orders", [1, 3])
def test_every_draw_is_that_of_the_board(protocol: str, interpolation: str, difficult: bool, orders: int) -> None:
    found, true = sides(14, 5, difficult=difficult)
    board = Board.of(found, true, settle(protocol, interpolation=interpolation), None, DEFAULT_THRESHOLDS)
    assert can_redraw(board, "random") and not can_redraw(board, "stable")
    rng = np.random.default_rng(1)
    rows = [rng.integers(14, size=14) for _ in range(25)] + [np.zeros(14, np.int64), np.arange(14)]
    drawn = np.stack([np.bincount(one, minlength=14) for one in rows]).astype(np.int16)
    with np.errstate(divide="raise", invalid="raise"):  # draws without any true box of a class are among them
        fast = redrawn_headlines(board, drawn, orders)
    for place, one in enumerate(rows):
        again = board.redrawn(one)
        slow = headlines(again, again.run("random", orders, 0, constant_too=False))
        assert slow.keys() == fast.keys()
        for name, value in slow.items():
            assert fast[name][place] == pytest.approx(value, abs=1e-12), (place, name)


def test_images_alike_and_scores_take_the_other_way() -> None:
    found, true = sides(4, 2, difficult=False)
    rules = settle("dota")
    assert not can_redraw(Board.of(found * 2, true * 2, rules, None, DEFAULT_THRESHOLDS), "random")
    scored = [{**item, "scores": np.full(len(item["labels"]), 0.5)} for item in found]
    assert not can_redraw(Board.of(scored, true, rules, None, DEFAULT_THRESHOLDS), "random")
    assert not can_redraw(Board.of(found, true, settle("dota", interpolation="area"), None, (0.5,)), "random")
