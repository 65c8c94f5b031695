"""Layout search: threes of threes, and the best parts on one canvas (after ZoomSearch)."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PIL import Image

from rscovlm.processing.resolution import PixelBudget, plan_size
from rscovlm.zoom.policies.confidence import ask_whether, words, yes
from rscovlm.zoom.policies.inquiry import Asking, Inquiry, Look, Outcome, Plan, check_at_least
from rscovlm.zoom.policies.tree import split
from rscovlm.zoom.windows import ZoomView

Similarity = Callable[[str, Sequence[Image.Image]], Sequence[float]]
"""Question and pictures -> how well each fits, from 0 to 1, as of a CLIP for overhead images."""

_KEPT = 6
_STEEP, _MIDDLE = 5.0, 0.6


@dataclass(frozen=True)
class Canvas:
    """Pictures of parts of an image, laid out as they lie on it.

    Attributes:
        image: The canvas.
        tokens: Its visual tokens.
    """

    image: Image.Image
    tokens: int


@dataclass(frozen=True)
class GridSearch:
    """Cuts the most promising part in three by three, then shows the best six parts on one canvas.

    The score of a part is ``w * confidence + (1 - w) * similarity`` with ``w = b + (1 - b)(1 - 0.5^(depth - 1))``; without a
    `similarity` it is the confidence alone. The search ends where a score reaches a threshold, which begins at 1 and falls by
    0.1 every five parts, or after ``5 log4(longest side / 224)`` parts. Parts with ``sigmoid(5 (score - mean)) > 0.6`` are
    kept, six at most, in the order of their rows and columns.

    Args:
        similarity: Scores pictures against the question; None does without.
        base: ``b``.
        depth: Cuts in three at most.
        max_calls: Conversations for one question at most.
        max_visual_tokens: Visual tokens of all of these together.

    Raises:
        ValueError: A setting has no meaning.
    """

    similarity: Similarity | None = None
    base: float = 0.25
    depth: int = 4
    max_calls: int = 96
    max_visual_tokens: int = 60_000
    name = "grid"

    def __post_init__(self) -> None:
        check_at_least(depth=(self.depth, 1), base=(self.base, 0), max_calls=(self.max_calls, 2))

    def search(self, inquiry: Inquiry) -> Plan:
        """Look for the parts that answer the question, and answer from their canvas."""
        roots = inquiry.roots()
        longest = max(max(window.size) for window, _ in roots)
        allowed = max(1, math.floor(5 * math.log(max(longest / 224, 1.0), 4)))
        queue: list[tuple[float, int, Look, int]] = []
        for number, (window, source) in enumerate(roots):
            heapq.heappush(queue, (0.0, number, Look(window, source, 0.0), 1))
        leaves: dict[int, Look] = {}
        number = len(queue)
        cut = 0
        while queue and cut < allowed:
            negative, own, look, depth = heapq.heappop(queue)
            if cut and -negative >= 1.0 - 0.1 * (cut // 5):
                break
            weighed = yield from self._weigh(inquiry, look, depth)
            if weighed is None:
                inquiry.problems["budget_spent"] += 1
                break
            if not weighed:
                continue
            leaves.pop(own, None)
            cut += 1
            for part in weighed:
                leaves[number] = part
                if depth < self.depth:
                    heapq.heappush(queue, (-part.score, number, part, depth + 1))
                number += 1
        kept = _best(list(leaves.values()))
        if not kept:
            return Outcome()
        return (yield from self._answered(inquiry, kept))

    def _weigh(self, inquiry: Inquiry, look: Look, depth: int) -> Asking[list[Look] | None]:
        """Cut a part and score what comes of it, in one batch; None where the budget is spent."""
        parts = split(inquiry.window(look.window, look.source), 3)
        parts = [part for part in parts if min(part.size) >= inquiry.limits.min_side]
        if not parts:
            return []
        views = [inquiry.view(part, look.source, share=2 * len(parts)) for part in parts]
        # One call is left for the answer.
        if not inquiry.affordable(views) or inquiry.calls_left <= len(views):
            return None
        shown = [view for view in views if view is not None]
        replies = yield [ask_whether(inquiry, view, "enough") for view in shown]
        scores = [yes(reply) or 0.0 for reply in replies]
        if self.similarity is not None:
            weight = self.base + (1 - self.base) * (1 - 0.5 ** (depth - 1))
            alike = _from_0_to_1(self.similarity(inquiry.question, [view.image for view in shown]), len(shown))
            scores = [weight * sure + (1 - weight) * fit for sure, fit in zip(scores, alike, strict=True)]
        return [inquiry.note(part, look.source, score) for part, score in zip(parts, scores, strict=True)]

    def _answered(self, inquiry: Inquiry, kept: Sequence[Look]) -> Asking[Outcome]:
        """Ask the question about the overviews and the canvas of the parts kept."""
        views = [inquiry.view(look.window, look.source, share=len(kept) + 1) for look in kept]
        pairs = [(look, view) for look, view in zip(kept, views, strict=True) if view is not None]
        if not pairs or inquiry.calls_left < 1:
            return Outcome(kept)
        canvas = compose(pairs, inquiry.budget)
        overviews = list(inquiry.overviews)
        if canvas.tokens + sum(view.tokens for view in overviews) > inquiry.tokens_left:
            return Outcome(kept)
        text = words()["canvas"].replace("{question}", inquiry.question)
        (reply,) = yield [inquiry.ask([*overviews, canvas], text, max_new_tokens=512, answers=True)]
        mean = sum(look.score for look in kept) / len(kept)
        # Boxes would lie on the canvas, which has no place on any image.
        return Outcome(kept, answer=reply.text.strip(), confidence=mean, finish=reply.finish)


def _from_0_to_1(given: Sequence[float], count: int) -> list[float]:
    """Return what a similarity gave, held to its range; NaN fits nothing.

    Raises:
        ValueError: It gave another number of values than there are pictures.
    """
    values = [float(value) for value in given]
    if len(values) != count:
        raise ValueError(
            f"the similarity of policy 'grid' gave {len(values)} values for {count} pictures; give one each"
        )
    return [min(max(value, 0.0), 1.0) if not math.isnan(value) else 0.0 for value in values]


def _best(leaves: Sequence[Look]) -> list[Look]:
    """Return the parts that stand out, six at most, in the order of image, row and column."""
    if not leaves:
        return []
    mean = sum(look.score for look in leaves) / len(leaves)
    kept = [look for look in leaves if 1 / (1 + math.exp(-_STEEP * (look.score - mean))) > _MIDDLE]
    kept = sorted(kept, key=lambda look: -look.score)[:_KEPT]
    return sorted(kept, key=lambda look: (look.source, look.window[1], look.window[0]))


def compose(pairs: Sequence[tuple[Look, ZoomView]], budget: PixelBudget) -> Canvas:
    """Lay pictures out by the rows and columns of their windows; empty rows and columns are left out."""
    rows = sorted({(look.source, look.window[1]) for look, _ in pairs})
    columns = sorted({look.window[0] for look, _ in pairs})
    width = max(view.image.width for _, view in pairs)
    height = max(view.image.height for _, view in pairs)
    canvas = Image.new("RGB", (width * len(columns), height * len(rows)))
    for look, view in pairs:
        place = columns.index(look.window[0]) * width, rows.index((look.source, look.window[1])) * height
        canvas.paste(view.image.convert("RGB"), place)
    return Canvas(canvas, budget.tokens(plan_size(*canvas.size, budget)))
