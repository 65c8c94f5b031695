"""One question turn by turn, for callers that generate themselves: what may be done with it, and when."""

from __future__ import annotations

from typing import Any

import pytest

from rscovlm.engines import Reply
from rscovlm.geometry import Boxes, Frame
from rscovlm.processing.resolution import PixelBudget
from rscovlm.zoom import ZoomChain
from rscovlm.zoom.episode import Episode
from tests.zoom.scripted import Scripted, call
from tests.zoom.test_policy_traces import Labelled

BUDGET = PixelBudget(28 * 28, 140 * 140, 28)


def begun(*, zoom: bool = True, **limits: Any) -> Episode:
    chain = ZoomChain(Scripted([], budget=BUDGET), max_visual_tokens=limits.pop("tokens", 60), **limits)
    return chain.start(Labelled(0, 900, 600), "Why?", zoom=zoom)


def test_an_answer_is_taken_once_and_given_when_it_is_there() -> None:
    episode = begun()
    with pytest.raises(ValueError, match="there is no answer yet; feed replies"):
        episode.result()
    assert not episode.done
    step = episode.receive(Reply("Because.", 2, 0.5))
    assert (step.text, step.tokens, step.seconds, step.call, step.view) == ("Because.", 2, 0.5, None, None)
    assert episode.done and episode.result().answer == "Because."
    with pytest.raises(ValueError, match="has its answer already; start a new one"):
        episode.receive(Reply("No."))


def test_a_window_is_shown_where_the_tokens_leave_room_and_not_else() -> None:
    """The overview takes 24 tokens, a window 25 at most, and the last one what is left."""
    episode = begun(tokens=60)
    assert [view.tokens for view in episode.views] == [24] and episode.spent == 24
    assert episode.show((0, 0, 300, 300)) is True and episode.spent == 49
    assert episode.show((300, 300, 600, 600)) is True and 49 < episode.spent <= 60
    assert [tuple(view.window) for view in episode.views] == [(0, 0, 900, 600), (0, 0, 300, 300), (300, 300, 600, 600)]
    full = begun(tokens=20)
    assert full.spent <= 20
    while full.show((0, 0, 300, 300)):
        assert full.spent <= 20
    shown = len(full.views)
    assert full.show((0, 0, 300, 300)) is False and len(full.views) == shown
    with pytest.raises(ValueError, match="20 visual tokens leave no room for region .*; raise max_visual_tokens"):
        full.look([0, 0, 300, 300])


@pytest.mark.parametrize(
    ("region", "message"),
    [
        ([900, 0, 950, 50], "has no area on labelled; give one inside the image"),
        ([10, 10, 10, 50], "has no area"),
        (Boxes([[1, 2, 3, 4], [5, 6, 7, 8]], "hbb"), "a region is one box and 2 came"),
        (5, "region is 5; give one box"),
    ],
)
def test_what_is_no_region_of_the_image_is_refused(region: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        begun().look(region)


def test_a_region_may_lie_on_any_grid_of_the_image() -> None:
    for region in (
        [300, 200, 450, 320],
        Boxes([[300, 200, 450, 320]], "hbb"),
        Boxes([[100, 100, 150, 160]], "hbb", Frame(900, 600).resized(300, 300)),
    ):
        episode = begun()
        episode.look(region)
        assert tuple(episode.views[-1].window) == (300, 200, 450, 320)
        # What was shown stands as a call of the model on its overview, before the picture.
        assert "image_zoom_in" in str(episode.pending.messages[-2])
        assert [turn["role"] for turn in episode.pending.messages] == ["system", "user", "assistant", "user"]


@pytest.mark.parametrize(("zoom", "problem"), [(False, "call_without_tool"), (True, "call_after_limit")])
def test_a_call_where_none_may_stand_is_counted_and_is_no_answer(zoom: bool, problem: str) -> None:
    episode = begun(zoom=zoom, max_steps=1)
    if zoom:
        episode.receive(Reply(call(10, 10, 60, 60)))
        episode.receive(Reply(call(10, 10, 30, 30)))
    episode.receive(Reply(call(1, 1, 20, 20)))
    result = episode.result()
    assert (result.answer, result.problems[problem], result.problems["empty_answer"]) == ("", 1, 1)


def test_what_is_kept_of_a_conversation_knows_whether_more_will_follow() -> None:
    """An engine that keeps what it computed is told when the next turn begins another text."""
    episode = begun(max_steps=2)
    more = []
    for text in (call(10, 10, 60, 60), call(20, 20, 70, 60), call(1, 1, 20, 20), "It is."):
        pending = episode.pending
        more.append(pending.memory.more if pending.memory is not None else None)
        episode.receive(Reply(text))
    assert more == [True, True, False, False]
    assert begun(zoom=False).pending.memory is None
