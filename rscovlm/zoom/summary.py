"""What zooming brings on a set of questions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rscovlm.geometry import Boxes
from rscovlm.geometry.window import WindowLike
from rscovlm.zoom.result import ZoomResult

if TYPE_CHECKING:
    from rscovlm.zoom.chain import ZoomChain


@dataclass(frozen=True)
class ZoomQuestion:
    """A question with its true answer.

    Attributes:
        image: Whatever ``open_image`` takes, or a list of those.
        question: The question.
        answer: The true answer.
        evidence: The region one has to see, in original pixels of the first image, where known.
    """

    image: Any
    question: str
    answer: str
    evidence: Boxes | None = None


@dataclass(frozen=True)
class Mode:
    """How a set was answered in one way.

    Attributes:
        accuracy: Share of right answers.
        tokens: Generated tokens for a question, mean.
        visual_tokens: Visual tokens for a question, mean.
        seconds: Seconds for a question, mean.
        right: Whether each question was answered rightly, in order.
    """

    accuracy: float
    tokens: float
    visual_tokens: float
    seconds: float
    right: Sequence[bool]


@dataclass(frozen=True)
class ZoomReport:
    """What zooming brings on a set.

    Attributes:
        questions: Size of the set.
        with_zoom: The chain as it is.
        without: The answer after the overview alone.
        oracle: The answer after being shown the evidence, over the questions whose evidence is known; ``None`` where
            that is none.
        zoom_rate: Share of questions with at least one window.
        evidence_rate: Share of the zoomed questions with known evidence whose windows hold it; ``None`` where there are
            none.
        gain: ``with_zoom.accuracy - without.accuracy``.
        stopped: Counts of why the chain stopped.
        problems: Counts of what was wrong with calls.
        results: Every result of the chain, in order.
    """

    questions: int
    with_zoom: Mode
    without: Mode
    oracle: Mode | None
    zoom_rate: float
    evidence_rate: float | None
    stopped: Counter[str]
    problems: Counter[str]
    results: Sequence[ZoomResult] = field(repr=False)

    @property
    def gain(self) -> float:
        """Accuracy with zoom less accuracy without."""
        return self.with_zoom.accuracy - self.without.accuracy

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as plain JSON values."""
        modes = {"with_zoom": self.with_zoom, "without": self.without, "oracle": self.oracle}
        figures = {
            name: None
            if mode is None
            else {key: getattr(mode, key) for key in ("accuracy", "tokens", "visual_tokens", "seconds")}
            for name, mode in modes.items()
        }
        return {
            "questions": self.questions,
            "gain": self.gain,
            "zoom_rate": self.zoom_rate,
            "evidence_rate": self.evidence_rate,
            **figures,
            "stopped": dict(self.stopped),
            "problems": dict(self.problems),
        }


def same_answer(answer: str, truth: str) -> bool:
    """Return whether two answers are equal but for case, outer spaces and a final dot.

    >>> same_answer(" Red.", "red")
    True
    """
    return _plain(answer) == _plain(truth)


def report(
    chain: ZoomChain,
    asked: Iterable[ZoomQuestion],
    *,
    judge: Callable[[str, str], bool] = same_answer,
    cover: float = 0.9,
    pictures: bool = False,
) -> ZoomReport:
    """Answer a set with zoom, without, and with the true regions shown, and compare.

    Args:
        chain: The chain to measure.
        asked: Questions with answers and, where known, evidence.
        judge: Says whether an answer agrees with the truth.
        cover: Share of the evidence's area that one window must hold to hold it.
        pictures: Keep the pictures of the results, to draw them; some megabytes a question.

    Raises:
        ValueError: There is no question.
    """
    rows = list(asked)
    if not rows:
        raise ValueError("there is no question to report on; give at least one")
    pairs = [(row.image, row.question) for row in rows]
    truths = [row.answer for row in rows]
    zoomed = chain.ask_many(pairs, pictures=pictures)
    plain = chain.ask_many(pairs, zoom=False, pictures=False)
    known = [(row, row.evidence) for row in rows if row.evidence is not None]
    shown = chain.ask_many(
        [(row.image, row.question) for row, _ in known], regions=[[region] for _, region in known], pictures=False
    )
    hits = [
        any(covered(region.as_kind("hbb").coords[0], window) >= cover for window in result.windows)
        for row, result in zip(rows, zoomed, strict=True)
        if (region := row.evidence) is not None and result.zoomed
    ]
    return ZoomReport(
        questions=len(rows),
        with_zoom=_mode(zoomed, truths, judge),
        without=_mode(plain, truths, judge),
        oracle=_mode(shown, [row.answer for row, _ in known], judge) if known else None,
        zoom_rate=sum(result.zoomed for result in zoomed) / len(rows),
        evidence_rate=sum(hits) / len(hits) if hits else None,
        stopped=Counter(result.stopped for result in zoomed),
        problems=sum((result.problems for result in zoomed), Counter[str]()),
        results=zoomed,
    )


def _mode(results: Sequence[ZoomResult], truths: Sequence[str], judge: Callable[[str, str], bool]) -> Mode:
    right = [judge(result.answer, truth) for result, truth in zip(results, truths, strict=True)]
    count = len(results)
    return Mode(
        sum(right) / count,
        sum(result.tokens for result in results) / count,
        sum(result.visual_tokens for result in results) / count,
        sum(result.seconds for result in results) / count,
        right,
    )


def covered(region: Iterable[float], window: WindowLike) -> float:
    """Return the share of a region (x1, y1, x2, y2) that lies inside a window, both in original pixels.

    >>> covered((0, 0, 10, 10), (5, 0, 100, 100))
    0.5
    """
    x1, y1, x2, y2 = (float(side) for side in region)
    width = max(0.0, min(x2, window[2]) - max(x1, window[0]))
    height = max(0.0, min(y2, window[3]) - max(y1, window[1]))
    area = (x2 - x1) * (y2 - y1)
    return width * height / area if area > 0 else 0.0


def _plain(text: str) -> str:
    return text.strip().removesuffix(".").strip().casefold()
