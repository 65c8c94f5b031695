"""What a request costs, and where its tokens end, by hand."""

import threading
import time
from typing import Any

import pytest
from PIL import Image

from rscovlm.engines import Conversation, Reply
from rscovlm.serving.batching import Batched
from rscovlm.serving.metering import Metered, estimated_tokens
from tests.zoom.scripted import Scripted


def _asked(*texts: str) -> list[Conversation]:
    return [Conversation([{"role": "user", "content": text}]) for text in texts]


class Counting(Scripted):
    """Writes as many tokens as it may, up to eight, and keeps how many conversations came together with which bound."""

    def __init__(self, prompt_tokens: int = 0) -> None:
        super().__init__([])
        self.calls: list[tuple[int, int, bool]] = []
        self.prompt_tokens = prompt_tokens

    def generate(self, conversations: Any, *, max_new_tokens: int = 1024, logprobs: bool = False) -> list[Reply]:
        self.calls.append((len(conversations), max_new_tokens, logprobs))
        tokens = min(8, max_new_tokens)
        return [
            Reply(str(one.messages[0]["content"]), tokens=tokens, prompt_tokens=self.prompt_tokens)
            for one in conversations
        ]


def test_without_bounds_all_are_asked_together() -> None:
    engine = Counting()
    metered = Metered(engine)
    found = metered.generate(_asked("a", "b", "c"), max_new_tokens=70, logprobs=True)
    assert [reply.text for reply in found] == ["a", "b", "c"]
    assert engine.calls == [(3, 70, True)]
    assert metered.completion_tokens == 24


def test_a_reply_is_bounded_by_the_lesser_of_two() -> None:
    engine = Counting()
    Metered(engine, each=50).generate(_asked("a"), max_new_tokens=70)
    Metered(engine, each=90).generate(_asked("a"), max_new_tokens=70)
    assert [most for _, most, _ in engine.calls] == [50, 70]


def test_a_completion_ends_where_its_tokens_do() -> None:
    engine = Counting()
    metered = Metered(engine, most=27)
    found = metered.generate(_asked("a", "b", "c", "d", "e", "f"), max_new_tokens=10)
    # Two of at most 10 fit into 27; after their 16 tokens one of 10 fits, after 24 one of 3, and then nothing.
    assert engine.calls == [(2, 10, False), (1, 10, False), (1, 3, False)]
    assert [(reply.text, reply.finish, reply.tokens) for reply in found] == [
        ("a", "stop", 8),
        ("b", "stop", 8),
        ("c", "stop", 8),
        ("d", "stop", 3),
        ("", "length", 0),
        ("", "length", 0),
    ]
    assert metered.completion_tokens == 27
    assert [reply.finish for reply in metered.generate(_asked("g"))] == ["length"]


def test_what_was_read_is_counted_or_estimated() -> None:
    counted = Metered(Counting(prompt_tokens=11))
    counted.generate(_asked("a", "b"))
    assert counted.prompt_tokens == 22
    estimated = Metered(Counting())
    # 840 x 280 is 30 x 10 patches of 28, and a third of the bytes of the texts, rounded up for each turn.
    content: list[dict[str, Any]] = [
        {"type": "image", "image": Image.new("RGB", (840, 280))},
        {"type": "text", "text": "abcd"},
    ]
    turns: list[dict[str, Any]] = [{"role": "system", "content": "äöü"}, {"role": "user", "content": content}]
    estimated.generate([Conversation(turns)])
    assert estimated.prompt_tokens == 300 + 2 + 2
    assert [estimated_tokens("x" * count) for count in (0, 1, 3, 4)] == [0, 1, 1, 2]


class Held(Counting):
    """Waits at its first call until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.go = threading.Event(), threading.Event()

    def generate(self, conversations: Any, **options: Any) -> list[Reply]:
        self.begun.set()
        self.go.wait(20)
        if any(one.messages[0]["content"] == "bad" for one in conversations):
            raise KeyError("bad")
        return super().generate(conversations, **options)


def _wait_for(batched: Batched, count: int) -> None:
    last = time.monotonic() + 20
    while len(batched._waiting) < count and time.monotonic() < last:
        time.sleep(0.005)


def test_what_waits_is_answered_together_each_caller_its_own() -> None:
    engine = Held()
    batched = Batched(engine)
    found: dict[str, Any] = {}

    def ask(name: str, texts: list[str], most: int) -> None:
        try:
            found[name] = [reply.text for reply in batched.generate(_asked(*texts), max_new_tokens=most)]
        except KeyError as error:
            found[name] = error

    callers = [
        threading.Thread(target=ask, args=arguments)
        for arguments in (("first", ["0"], 5), ("two", ["1", "2"], 9), ("one", ["3"], 9), ("other", ["4"], 7))
    ]
    callers[0].start()
    assert engine.begun.wait(20)
    for number, caller in enumerate(callers[1:], start=1):
        caller.start()
        _wait_for(batched, number)
    engine.go.set()
    for caller in callers:
        caller.join(20)
    assert found == {"first": ["0"], "two": ["1", "2"], "one": ["3"], "other": ["4"]}
    assert engine.calls == [(1, 5, False), (3, 9, False), (1, 7, False)]
    assert batched.batches == 3
    batched.close()
    with pytest.raises(RuntimeError, match="was closed"):
        batched.generate(_asked("x"))


def test_a_mistake_of_one_caller_is_not_the_others() -> None:
    engine = Held()
    batched = Batched(engine)
    found: dict[str, Any] = {}

    def ask(name: str, text: str) -> None:
        try:
            found[name] = batched.generate(_asked(text))[0].text
        except KeyError as error:
            found[name] = type(error)

    callers = [threading.Thread(target=ask, args=(str(n), text)) for n, text in enumerate(["ok", "bad", "fine"])]
    callers[0].start()
    assert engine.begun.wait(20)
    for number, caller in enumerate(callers[1:], start=1):
        caller.start()
        _wait_for(batched, number)
    engine.go.set()
    for caller in callers:
        caller.join(20)
    batched.close()
    assert found == {"0": "ok", "1": KeyError, "2": "fine"}


def test_tokens_are_counted_by_the_engine_where_it_can() -> None:
    engine = Counting()
    batched = Batched(engine)
    assert batched.count_tokens("abcd") == 2
    engine.count_tokens = lambda text: len(text) * 10  # type: ignore[attr-defined]
    assert batched.count_tokens("abcd") == 40
    batched.close()
