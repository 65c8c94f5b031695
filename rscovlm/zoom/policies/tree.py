"""Tree search: halve each side, best first, until the question can be answered (after ZoomEye, arXiv 2411.16044)."""

from __future__ import annotations

import heapq
import re
from dataclasses import dataclass

from rscovlm.geometry.window import Window
from rscovlm.zoom.policies.confidence import ask_whether, yes
from rscovlm.zoom.policies.inquiry import Asking, Inquiry, Look, Outcome, Plan, check_at_least
from rscovlm.zoom.windows import ZoomView

_ALL = re.compile(r"\b(how many|count|number of|all|every|each|total)\b", re.IGNORECASE)


def asks_for_all(question: str) -> bool:
    """Tell whether a question is about all of something, so that one good window does not answer it.

    >>> asks_for_all("How many ships are there?"), asks_for_all("What colour is the roof?")
    (True, False)
    """
    return bool(_ALL.search(question))


@dataclass(frozen=True)
class TreeSearch:
    """Looks into quarters of quarters, the most promising first.

    A part's priority is ``w * P(seen here) + (1 - w) * P(seen on looking closer)`` with ``w`` growing with depth. After each
    part the model says whether it can answer; at ``2 * (P - 1/2)`` above a threshold, which falls every few parts, the
    search ends. A question about all of something collects every part above the threshold down to ``collect_depth``.

    Args:
        depth: Halvings at most.
        threshold: Confidence that ends the search at first.
        floor: Lowest threshold.
        fall: How much the threshold falls ...
        patience: ... after so many parts.
        collect_depth: Halvings at most for questions about all of something.
        weight: ``w`` of the first level.
        max_calls: Conversations for one question at most, the answer left out.
        max_visual_tokens: Visual tokens of all of these together.

    Raises:
        ValueError: A setting has no meaning.
    """

    depth: int = 5
    threshold: float = 0.8
    floor: float = 0.2
    fall: float = 0.2
    patience: int = 4
    collect_depth: int = 2
    weight: float = 0.3
    max_calls: int = 64
    max_visual_tokens: int = 60_000
    name = "tree"

    def __post_init__(self) -> None:
        check_at_least(depth=(self.depth, 1), patience=(self.patience, 1), max_calls=(self.max_calls, 1))

    def search(self, inquiry: Inquiry) -> Plan:
        """Look for the parts that answer the question."""
        every = asks_for_all(inquiry.question)
        deepest = min(self.depth, self.collect_depth) if every else self.depth
        queue = [(-1.0, number, window, source, 0) for number, (window, source) in enumerate(inquiry.roots())]
        kept: list[Look] = []
        best: Look | None = None
        threshold, visited, number = self.threshold, 0, len(queue)
        while queue:
            _, _, window, source, depth = heapq.heappop(queue)
            view = inquiry.view(window, source)
            if view is None or not inquiry.affordable([view]):
                inquiry.problems["budget_spent"] += 1
                break
            (reply,) = yield [ask_whether(inquiry, view, "enough")]
            sure = 2 * ((yes(reply) or 0.0) - 0.5)
            look = inquiry.note(window, source, sure)
            visited += 1
            if visited % self.patience == 0:
                threshold = max(self.floor, threshold - self.fall)
            if sure >= threshold and not (every and depth == 0):
                kept.append(look)
                if not every:
                    return Outcome([look] if depth else [], confidence=max(0.0, sure))
                continue
            if depth and (best is None or sure > best.score):
                best = look
            if depth < deepest:
                for priority, part in (yield from self._children(inquiry, window, source, depth)):
                    heapq.heappush(queue, (-priority, number, part, source, depth + 1))
                    number += 1
        chosen = kept or ([best] if best is not None and best.score > self.floor else [])
        return Outcome(chosen, confidence=max([0.0, *(look.score for look in chosen)]) if chosen else None)

    def _children(
        self, inquiry: Inquiry, window: Window, source: int, depth: int
    ) -> Asking[list[tuple[float, Window]]]:
        """Weigh the parts of a window, all in one batch."""
        parts = [part for part in quarters(window) if min(part.size) >= inquiry.limits.min_side]
        views: list[tuple[Window, ZoomView]] = []
        for part in parts:
            view = inquiry.view(part, source, share=2 * len(parts))
            if view is not None:
                views.append((part, view))
        if not views or not inquiry.affordable([view for _, view in views], calls=2):
            if parts:
                inquiry.problems["budget_spent"] += 1
            return []
        calls = [ask_whether(inquiry, view, what) for _, view in views for what in ("seen", "closer")]
        replies = yield calls
        weight = self.weight + (1 - self.weight) * (1 - 0.5**depth)
        weighed = []
        for (part, _), seen, closer in zip(views, replies[::2], replies[1::2], strict=True):
            weighed.append((weight * (yes(seen) or 0.0) + (1 - weight) * (yes(closer) or 0.0), part))
        return weighed


def quarters(window: Window) -> list[Window]:
    """Return the parts of a window when each side is halved; of a slim one the longer side alone, into squares or so.

    >>> quarters(Window(0, 0, 10, 8))[3], len(quarters(Window(0, 0, 90, 30)))
    (Window(x1=5, y1=4, x2=10, y2=8), 3)
    """
    return split(window, 2)


def split(window: Window, count: int) -> list[Window]:
    """Return the parts of a window when each side is cut into `count`; of a slim one the longer side alone."""
    width, height = window.size
    across, down = count, count
    if width >= 2 * height:
        across, down = max(count, round(width / height)), 1
    elif height >= 2 * width:
        across, down = 1, max(count, round(height / width))
    across, down = min(across, 16, max(width, 1)), min(down, 16, max(height, 1))
    xs = [window.x1 + round(width * step / across) for step in range(across + 1)]
    ys = [window.y1 + round(height * step / down) for step in range(down + 1)]
    return [Window(xs[column], ys[row], xs[column + 1], ys[row + 1]) for row in range(down) for column in range(across)]
