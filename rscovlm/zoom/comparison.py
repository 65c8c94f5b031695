"""Policies side by side on one set of questions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from rscovlm.zoom.chain import ZoomChain
from rscovlm.zoom.policies.inquiry import Policy
from rscovlm.zoom.result import ZoomResult
from rscovlm.zoom.summary import ZoomQuestion, covered, same_answer

if TYPE_CHECKING:
    from rscovlm.engines import Engine


@dataclass(frozen=True)
class PolicyScore:
    """What a policy brings on a set, and what it costs.

    Attributes:
        policy: Its name.
        accuracy: Share of right answers; a question that it declined counts as wrong.
        gain: Accuracy less that of the overview alone.
        harm: Share of questions that the overview alone answers rightly and the policy does not.
        zoom_rate: Share of questions with at least one window.
        evidence_rate: Share of the zoomed questions with known evidence whose windows hold it; None where there are none.
        visual_tokens: Visual tokens of a question, mean.
        calls: Conversations of a question, mean.
        seconds: Seconds of a question, mean.
        declined: Questions that were not answered.
        problems: Counts by reason.
        results: Every result, in order.
    """

    policy: str
    accuracy: float
    gain: float
    harm: float
    zoom_rate: float
    evidence_rate: float | None
    visual_tokens: float
    calls: float
    seconds: float
    declined: int
    problems: Counter[str]
    results: Sequence[ZoomResult] = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as plain JSON values."""
        figures = asdict(self) | {"problems": dict(self.problems)}
        del figures["results"]
        return figures


def compare(
    engine: Engine,
    asked: Iterable[ZoomQuestion],
    policies: Sequence[str | Policy] = ("none", "call", "tree", "grid", "assess", "branch", "vote"),
    *,
    judge: Callable[[str, str], bool] = same_answer,
    cover: float = 0.9,
    **options: Any,
) -> list[PolicyScore]:
    """Answer a set under each policy, and say what each brings, costs and spoils.

    Args:
        engine: Who answers.
        asked: The questions with their answers.
        policies: Names or policies; `none` is always measured first.
        judge: Whether an answer is right.
        cover: Share of the evidence that a window must show.
        options: Further settings of :class:`ZoomChain`.

    Raises:
        ValueError: There are no questions, or an option has no meaning.
    """
    rows = list(asked)
    if not rows:
        raise ValueError("there are no questions; give at least one")
    scores: list[PolicyScore] = []
    plain: list[bool] = []
    for policy in ["none", *(one for one in policies if one != "none")]:
        chain = ZoomChain(engine, policy=policy, **options)
        results = chain.ask_many([(row.image, row.question) for row in rows], pictures=False)
        right = [not one.declined and judge(one.answer, row.answer) for one, row in zip(results, rows, strict=True)]
        plain = plain or right
        scores.append(_score(policy if isinstance(policy, str) else policy.name, rows, results, right, plain, cover))
    return scores


def table(scores: Sequence[PolicyScore]) -> str:
    """Return the figures as a Markdown table."""
    lines = [
        "| policy | accuracy | gain | harm | windows | evidence seen | visual tokens | calls | seconds |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for one in scores:
        seen = "" if one.evidence_rate is None else f"{one.evidence_rate:.2f}"
        lines.append(
            f"| {one.policy} | {one.accuracy:.2f} | {one.gain:+.2f} | {one.harm:.2f} | {one.zoom_rate:.2f} | {seen} "
            f"| {one.visual_tokens:.0f} | {one.calls:.1f} | {one.seconds:.2f} |"
        )
    return "\n".join(lines)


def _score(
    name: str,
    rows: Sequence[ZoomQuestion],
    results: Sequence[ZoomResult],
    right: Sequence[bool],
    plain: Sequence[bool],
    cover: float,
) -> PolicyScore:
    count = len(rows)
    hits = [
        any(covered(row.evidence.as_kind("hbb").coords[0], window) >= cover for window in result.windows)
        for row, result in zip(rows, results, strict=True)
        if row.evidence is not None and result.zoomed
    ]
    return PolicyScore(
        policy=name,
        accuracy=sum(right) / count,
        gain=(sum(right) - sum(plain)) / count,
        harm=sum(before and not now for before, now in zip(plain, right, strict=True)) / count,
        zoom_rate=sum(result.zoomed for result in results) / count,
        evidence_rate=sum(hits) / len(hits) if hits else None,
        visual_tokens=sum(result.visual_tokens for result in results) / count,
        calls=sum(result.calls for result in results) / count,
        seconds=sum(result.seconds for result in results) / count,
        declined=sum(bool(result.declined) for result in results),
        problems=sum((result.problems for result in results), Counter[str]()),
        results=results,
    )
