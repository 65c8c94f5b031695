"""What a policy may still spend: exact at every bound, and nothing that cannot be shown is affordable."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from rscovlm.codec.dialect import Dialect
from rscovlm.geometry import Frame
from rscovlm.processing.resolution import PixelBudget
from rscovlm.rasters import open_image
from rscovlm.zoom.policies.inquiry import EngineCall, Inquiry, answer_calls
from rscovlm.zoom.windows import Limits, ZoomView, show
from tests.zoom.scripted import Scripted

BUDGET = PixelBudget(28 * 28, 168 * 168, 28)
PICTURE = Image.new("RGB", (28, 28))


def _view(tokens: int) -> ZoomView:
    return ZoomView(PICTURE, Frame(28, 28), (0, 0, 28, 28), 0, tokens)


def _inquiry(calls: int = 9, tokens: int = 50, **options: Any) -> Inquiry:
    raster = open_image(Image.new("RGB", (400, 300)))
    overview = show(raster, None, 0, BUDGET, 100)
    assert overview is not None
    return Inquiry(
        "Why?", [raster], [overview], Dialect.preset("rscovlm-v1"), BUDGET, Limits(), calls, tokens, **options
    )


@given(st.lists(st.integers(1, 30), max_size=5), st.integers(1, 3), st.integers(0, 20), st.integers(0, 120))
def test_what_is_affordable_can_be_asked_one_by_one(costs: list[int], times: int, calls: int, tokens: int) -> None:
    views = [_view(cost) for cost in costs]
    spent_calls, spent_tokens = 0, 0
    for cost in costs * times:
        spent_calls, spent_tokens = spent_calls + 1, spent_tokens + cost
    inquiry = _inquiry(calls, tokens)
    assert inquiry.affordable(views, times) is (spent_calls <= calls and spent_tokens <= tokens)
    assert inquiry.affordable([*views, None], times) is False


def test_asking_spends_a_call_and_the_tokens_of_its_pictures() -> None:
    inquiry = _inquiry(3, 50)
    call = inquiry.ask([_view(7), _view(4)], "What?")
    assert (inquiry.calls_left, inquiry.tokens_left, call.visual_tokens) == (2, 39, 11)
    assert (call.max_new_tokens, call.logprobs) == (16, False)


def test_a_view_costs_no_more_than_its_share_of_what_is_left() -> None:
    inquiry = _inquiry(9, 30)
    assert inquiry.overviews[0].tokens == 30  # 168 x 140 pixels are 6 x 5 tokens
    assert inquiry.view((0, 0, 400, 300), 0) is inquiry.overviews[0]
    assert inquiry.view((0, 0, 400, 300), 0, share=2) is None
    assert inquiry.read_seconds == 0  # it was read before
    part = inquiry.view((0, 0, 200, 300), 0, share=2)
    assert part is not None and 7 < part.tokens <= 15
    assert inquiry.view((0, 0, 200, 300), 0, share=30) is not None
    assert inquiry.view((0, 0, 200, 300), 0, share=31) is None
    assert inquiry.read_seconds > 0


@pytest.mark.parametrize("answers", [True, False])
def test_only_what_may_be_the_answer_follows_the_users_turns(answers: bool) -> None:
    earlier = [
        {"role": "user", "content": [{"type": "image", "image": "a"}, {"type": "text", "text": "Who?"}]},
        {"role": "assistant", "content": "Nobody."},
        {"role": "user", "content": [{"type": "image", "image": "a"}]},
    ]
    inquiry = _inquiry(before=earlier, system="Be brief.")
    call = inquiry.ask([_view(1)], "What?", answers=answers, system="Point.")
    told = [(turn["role"], turn["content"]) for turn in call.conversation.messages]
    asked = ("user", [{"type": "image", "image": PICTURE}, {"type": "text", "text": "What?"}])
    system = [("system", [{"type": "text", "text": "Be brief." if answers else "Point."}])]
    before = [
        ("user", [{"type": "text", "text": "Who?"}]),
        ("assistant", "Nobody."),
        ("user", [{"type": "text", "text": ""}]),
    ]
    assert told == [*system, *(before if answers else []), asked]


def test_replies_come_in_the_order_of_the_calls_whatever_their_batches() -> None:
    engine = Scripted(lambda conversation, _: str(conversation.messages[0]["content"]))
    options = [(16, False), (8, True), (16, False), (8, False), (8, True)]
    calls = [
        EngineCall(_inquiry().ask([], str(number)).conversation, *option, 0) for number, option in enumerate(options)
    ]
    texts = [reply.text for reply in answer_calls(engine, calls)]
    assert texts == [str([{"type": "text", "text": str(number)}]) for number in range(5)]
    assert [len(batch) for batch in engine.asked] == [2, 2, 1]
