"""Assess, expert, split: answer where the overview is enough, else look where an expert points, else split (after CVSearch)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from rscovlm.geometry.window import Window
from rscovlm.rasters import Raster
from rscovlm.zoom.policies.confidence import ask_whether, yes
from rscovlm.zoom.policies.inquiry import Asking, Inquiry, Look, Outcome, Plan, check_at_least
from rscovlm.zoom.policies.tree import quarters

Expert = Callable[[Raster, str], Sequence[Sequence[float]] | None]
"""Image and question -> boxes x1, y1, x2, y2 in original pixels: any detector; none where it finds nothing."""


@dataclass(frozen=True)
class AssessFirst:
    """Looks closer only where the model says that the overview is not enough.

    First an expert says where to look: by default the model itself is asked to point at what the question is about. Only where
    none of these windows is enough is the image split, and quarters side by side that both show something are joined.

    Args:
        expert: A detector; None asks the model.
        threshold: Probability that a view is enough.
        depth: Splits in four at most.
        candidates: Windows of the expert that are looked into at most.
        max_calls: Conversations for one question at most, the answer left out.
        max_visual_tokens: Visual tokens of all of these together.

    Raises:
        ValueError: A setting has no meaning.
    """

    expert: Expert | None = None
    threshold: float = 0.5
    depth: int = 2
    candidates: int = 4
    max_calls: int = 32
    max_visual_tokens: int = 30_000
    name = "assess"

    def __post_init__(self) -> None:
        check_at_least(depth=(self.depth, 0), candidates=(self.candidates, 1), max_calls=(self.max_calls, 1))

    def search(self, inquiry: Inquiry) -> Plan:
        """Assess the overviews, then the expert's windows, then parts."""
        roots = inquiry.roots()
        sure = yield from self._enough(inquiry, roots)
        if sure and max(look.score for look in sure) >= self.threshold:
            return Outcome(confidence=max(look.score for look in sure))
        pointed = yield from self._pointed(inquiry)
        found = yield from self._enough(inquiry, pointed[: self.candidates])
        good = [look for look in found if look.score >= self.threshold]
        parts: list[tuple[Window, int]] = roots
        for _ in range(self.depth):
            if good:
                break
            parts = [(part, source) for window, source in parts for part in quarters(window)]
            parts = [(part, source) for part, source in parts if min(part.size) >= inquiry.limits.min_side]
            seen = yield from self._enough(inquiry, parts)
            if not seen:
                break
            found = [*found, *seen]
            good = joined([look for look in seen if look.score >= self.threshold])
            # The better half is split again.
            parts = [(Window(*look.window), look.source) for look in _sorted(seen)[: max(1, len(seen) // 2)]]
        chosen = _sorted(good or found)[: self.candidates if good else 1]
        return Outcome(chosen, confidence=max((look.score for look in chosen), default=None))

    def _enough(self, inquiry: Inquiry, parts: Sequence[tuple[Window, int]]) -> Asking[list[Look]]:
        """Ask of each part whether it is enough, in one batch; nothing where the budget does not reach."""
        views = [inquiry.view(window, source, share=max(1, len(parts))) for window, source in parts]
        if not parts or not inquiry.affordable(views):
            if parts:
                inquiry.problems["budget_spent"] += 1
            return []
        replies = yield [ask_whether(inquiry, view, "enough") for view in views if view is not None]
        return [
            inquiry.note(window, source, yes(reply) or 0.0)
            for (window, source), reply in zip(parts, replies, strict=True)
        ]

    def _pointed(self, inquiry: Inquiry) -> Asking[list[tuple[Window, int]]]:
        """Return the windows that the expert names, without those that show almost the whole image."""
        windows: list[tuple[Window, int]] = []
        if self.expert is not None:
            for source, raster in enumerate(inquiry.rasters):
                given = self.expert(raster, inquiry.question)
                windows += [(window, source) for window in islice(_inside(inquiry, source, given), self.candidates)]
            return windows
        if not inquiry.affordable(list(inquiry.overviews)):
            return windows
        prompt = inquiry.dialect.ask("ground", expression=inquiry.question.rstrip(" ?."))
        calls = [
            inquiry.ask([view], prompt.user, max_new_tokens=128, system=prompt.system) for view in inquiry.overviews
        ]
        replies = yield calls
        for source, (view, reply) in enumerate(zip(inquiry.overviews, replies, strict=True)):
            boxes = inquiry.dialect.codec.decode(reply.text, view.frame).objects.boxes.as_kind("hbb")
            inside = boxes.clipped().to(inquiry.rasters[source].frame)
            windows += [
                (inquiry.window(box, source), source)
                for box, area in zip(inside.coords, inside.area(), strict=True)
                if area
            ]
        return windows


def _inside(inquiry: Inquiry, source: int, given: Sequence[Sequence[float]] | None) -> Iterator[Window]:
    """Yield the windows of an expert's boxes; those that show nothing of the image are counted and passed over.

    Raises:
        ValueError: Something is no box.
    """
    raster = inquiry.rasters[source]
    for box in () if given is None else given:
        try:
            x1, y1, x2, y2 = (float(value) for value in box)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"the expert of policy 'assess' gave {str(box)[:80]!r}; give x1, y1, x2, y2 in pixels of the original"
            ) from error
        if not all(map(math.isfinite, (x1, y1, x2, y2))):
            inquiry.problems["not_finite"] += 1
        elif not (max(x1, 0) < min(x2, raster.width) and max(y1, 0) < min(y2, raster.height)):
            inquiry.problems["outside"] += 1
        else:
            yield inquiry.window((max(x1, 0), max(y1, 0), min(x2, raster.width), min(y2, raster.height)), source)


def joined(looks: Sequence[Look]) -> list[Look]:
    """Return looks with those joined that lie side by side and make one rectangle.

    >>> joined([Look((0, 0, 5, 5), 0, 0.6), Look((5, 0, 9, 5), 0, 0.9), Look((5, 5, 9, 9), 0, 0.7)])[0]
    Look(window=(0, 0, 9, 5), source=0, score=0.9)
    """
    left = list(looks)
    done = False
    while not done:
        done = True
        for first in left:
            other = next((one for one in left if one is not first and _fits(first, one)), None)
            if other is not None:
                (ax, ay, bx, by), (cx, cy, dx, dy) = first.window, other.window
                whole = (min(ax, cx), min(ay, cy), max(bx, dx), max(by, dy))
                left = [one for one in left if one is not first and one is not other]
                left.insert(0, Look(whole, first.source, max(first.score, other.score)))
                done = False
                break
    return left


def _fits(first: Look, other: Look) -> bool:
    (ax, ay, bx, by), (cx, cy, dx, dy) = first.window, other.window
    beside = (ay, by) == (cy, dy) and (bx == cx or dx == ax)
    stacked = (ax, bx) == (cx, dx) and (by == cy or dy == ay)
    return first.source == other.source and (beside or stacked)


def _sorted(looks: Sequence[Look]) -> list[Look]:
    return sorted(looks, key=lambda look: -look.score)
