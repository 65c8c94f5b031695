"""One question under a policy: what it may read, what it asks, and what it decides."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, TypeVar

from rscovlm.engines.engine import Conversation, Finish, Reply, replies
from rscovlm.geometry.window import Window, WindowLike
from rscovlm.zoom.layouts import Message, system_part
from rscovlm.zoom.windows import Limits, ZoomView, enclose, show

if TYPE_CHECKING:
    from rscovlm.codec.dialect import Dialect
    from rscovlm.engines import Engine
    from rscovlm.processing.resolution import PixelBudget
    from rscovlm.rasters import Raster


@dataclass(frozen=True)
class EngineCall:
    """One conversation that a policy wants answered.

    Attributes:
        conversation: What is asked.
        max_new_tokens: Limit of generated tokens.
        logprobs: Whether the probability of the first word matters.
        visual_tokens: Visual tokens of its pictures.
    """

    conversation: Conversation
    max_new_tokens: int
    logprobs: bool
    visual_tokens: int


@dataclass(frozen=True)
class Look:
    """A part of an image that a policy weighed.

    Attributes:
        window: In original pixels.
        source: Of which image, from 0.
        score: What the policy thought of it, as its page says.
    """

    window: WindowLike
    source: int
    score: float


@dataclass(frozen=True)
class Outcome:
    """What a policy decided.

    Attributes:
        windows: Looks whose windows are shown with the overview for the answer; none answers from the overview.
        answer: The answer itself, where the policy found it; the chain then asks no more.
        confidence: From 0 to 1; None where the policy has none.
        declined: Why the question is not answered, empty where it is.
        finish: How the reply that gave the answer ended.
        view: What boxes in the answer lie on; None where nothing says.
    """

    windows: Sequence[Look] = ()
    answer: str | None = None
    confidence: float | None = None
    declined: str = ""
    finish: Finish = "stop"
    view: ZoomView | None = None


T = TypeVar("T")
Asking: TypeAlias = Generator[list[EngineCall], list[Reply], T]
"""A part of a policy that asks and returns something."""

Plan: TypeAlias = Asking[Outcome]
"""What a policy runs as: it yields conversations, gets their replies, and returns what it decided."""


class Policy(Protocol):
    """Decides where to look.

    ``search`` is a generator, so the chain advances many questions in step and sends what all of them ask as one batch.
    """

    @property
    def name(self) -> str:
        """What users call it."""
        ...

    @property
    def max_calls(self) -> int:
        """Conversations for one question at most, the answer left out."""
        ...

    @property
    def max_visual_tokens(self) -> int:
        """Visual tokens of all of these together."""
        ...

    def search(self, inquiry: Inquiry) -> Plan:
        """Look for what answers a question."""
        ...


@dataclass
class Inquiry:
    """A question, its images, and what may still be spent on looking.

    Attributes:
        question: The question.
        rasters: The images asked about.
        overviews: What the model sees of each at first.
        dialect: How the model is asked and writes boxes.
        budget: The pixels the model sees of an image.
        limits: What the answer's conversation may show.
        calls_left: Conversations that may still be asked.
        tokens_left: Visual tokens that may still be sent.
        looks: What was weighed so far.
        problems: Counts by reason.
        read_seconds: Time to read windows.
        before: The turns before, whose pictures are shown with the question.
        system: What the user's own system turn says.
    """

    question: str
    rasters: Sequence[Raster]
    overviews: Sequence[ZoomView]
    dialect: Dialect
    budget: PixelBudget
    limits: Limits
    calls_left: int
    tokens_left: int
    looks: list[Look] = field(default_factory=list)
    problems: Counter[str] = field(default_factory=Counter)
    read_seconds: float = 0.0
    before: Sequence[Message] = ()
    system: str | None = None

    def roots(self) -> list[tuple[Window, int]]:
        """Return the whole of each image, with its number."""
        return [(Window.whole(one.width, one.height), source) for source, one in enumerate(self.rasters)]

    def view(self, window: WindowLike, source: int, *, share: int = 1) -> ZoomView | None:
        """Read a window of an image, at most one part in `share` of the visual tokens left; None where they are too few."""
        if tuple(window) == tuple(self.overviews[source].window):
            view = self.overviews[source]
            return view if view.tokens * share <= self.tokens_left else None
        start = time.perf_counter()
        view_or_none = show(self.rasters[source], window, source, self.budget, self.tokens_left // max(share, 1))
        self.read_seconds += time.perf_counter() - start
        return view_or_none

    def window(self, box: Sequence[float], source: int) -> Window:
        """Return the window that shows a box in original pixels, with context where it is small or slim."""
        return enclose([float(side) for side in box], self.rasters[source], self.limits)

    def ask(
        self,
        views: Sequence[ZoomView | Any],
        text: str,
        *,
        max_new_tokens: int = 16,
        logprobs: bool = False,
        answers: bool = False,
        system: str | None = None,
    ) -> EngineCall:
        """Return a question about some views in a conversation of its own, and count what it spends.

        Args:
            views: What is shown.
            text: The question.
            max_new_tokens: Limit of generated tokens.
            logprobs: Whether the probability of the first word matters.
            answers: Whether the reply may be the answer: the user's own system turn and the words of earlier turns then stand
                before the question.
            system: What the dialect says first where it asks for boxes: the form of the answer.
        """
        tokens = sum(view.tokens for view in views)
        self.calls_left -= 1
        self.tokens_left -= tokens
        blocks: list[dict[str, Any]] = [{"type": "image", "image": view.image} for view in views]
        turn = {"role": "user", "content": [*blocks, {"type": "text", "text": text}]}
        earlier = [*system_part(self.system), *map(_in_words, self.before)] if answers else system_part(system)
        return EngineCall(Conversation([*earlier, turn]), max_new_tokens, logprobs, tokens)

    def note(self, window: WindowLike, source: int, score: float) -> Look:
        """Keep what was thought of a part."""
        look = Look(window, source, score)
        self.looks.append(look)
        return look

    def affordable(self, views: Sequence[ZoomView | None], calls: int = 1) -> bool:
        """Tell whether each of some views can be asked about so many times within what is left."""
        if any(view is None for view in views):
            return False
        tokens = sum(view.tokens for view in views if view is not None)
        return self.calls_left >= calls * len(views) and self.tokens_left >= calls * tokens


def answer_calls(engine: Engine, calls: Sequence[EngineCall]) -> list[Reply]:
    """Return the replies to calls in their order; those with the same options are one batch."""
    kinds = dict.fromkeys((call.max_new_tokens, call.logprobs) for call in calls)
    given: dict[int, Reply] = {}
    for tokens, logprobs in kinds:
        rows = [row for row, call in enumerate(calls) if (call.max_new_tokens, call.logprobs) == (tokens, logprobs)]
        options = {"logprobs": True} if logprobs else {}
        asked = [calls[row].conversation for row in rows]
        given |= dict(zip(rows, replies(engine, asked, max_new_tokens=tokens, **options), strict=True))
    return [given[row] for row in range(len(calls))]


def _in_words(turn: Message) -> Message:
    """Return a turn without its pictures."""
    content = turn.get("content")
    if not isinstance(content, list):
        return turn
    texts = [block for block in content if block.get("type") == "text"]
    return {**turn, "content": texts or [{"type": "text", "text": ""}]}


def check_at_least(**values: tuple[float, float]) -> None:
    """Refuse settings of a policy that lie below what they mean.

    Raises:
        ValueError: One does; the message names it.

    >>> check_at_least(votes=(3, 2))
    """
    for name, (value, least) in values.items():
        if not isinstance(value, (int, float)) or not value >= least:
            raise ValueError(f"{name} is {value!r}; give a number from {least:g} up")
