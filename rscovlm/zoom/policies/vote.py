"""Vote: the same question about several crops of the image, and the answer that most of them give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rscovlm.geometry import Boxes, iou
from rscovlm.geometry.window import Window
from rscovlm.zoom.policies.inquiry import EngineCall, Inquiry, Outcome, Plan, check_at_least
from rscovlm.zoom.summary import same_answer
from rscovlm.zoom.windows import ZoomView


@dataclass(frozen=True)
class Vote:
    """Asks about the image and about crops that lose a little of one corner each; the share of the winner is the confidence.

    Args:
        votes: Views.
        margin: Share of each side that a crop loses.
        max_calls: Conversations for one question at most.
        max_visual_tokens: Visual tokens of all of these together.

    Raises:
        ValueError: A setting has no meaning.
    """

    votes: int = 5
    margin: float = 0.1
    max_calls: int = 16
    max_visual_tokens: int = 20_000
    name = "vote"

    def __post_init__(self) -> None:
        check_at_least(votes=(self.votes, 2), margin=(self.margin, 0))

    def search(self, inquiry: Inquiry) -> Plan:
        """Ask about every view in one batch."""
        calls: list[EngineCall] = []
        looks: list[Window] = []
        shown: list[list[ZoomView]] = []
        for number in range(min(self.votes, self.max_calls)):
            windows = [_cropped(window, number, self.margin) for window, _ in inquiry.roots()]
            views = [inquiry.view(window, source, share=self.votes - number) for source, window in enumerate(windows)]
            if not inquiry.affordable(views):
                inquiry.problems["budget_spent"] += 1
                break
            shown.append([view for view in views if view is not None])
            calls.append(inquiry.ask(shown[-1], inquiry.question, max_new_tokens=512, answers=True))
            looks.append(windows[0])
        if not calls:
            return Outcome()
        replies = yield calls
        said = [reply.text.strip() for reply in replies]
        groups = [[other for other in range(len(said)) if same_answer(said[other], one)] for one in said]
        heaviest = max(groups, key=len)  # of equal ones that of the earliest view, which is the whole image
        for number, window in enumerate(looks):
            inquiry.note(window, 0, float(number in heaviest))
        first = heaviest[0]
        return Outcome(
            answer=said[first],
            confidence=len(heaviest) / len(said),
            finish=replies[first].finish,
            view=shown[first][-1],
        )


def _cropped(window: Window, number: int, margin: float) -> Window:
    """Return a window, whole for number 0, else without a margin at the corner that the number names."""
    if number == 0:
        return window
    part = margin * (1 + (number - 1) // 4)
    across, down = round(window.width * min(part, 0.45)), round(window.height * min(part, 0.45))
    left, top = (number - 1) % 2, (number - 1) // 2 % 2
    x1, y1 = window.x1 + across * left, window.y1 + down * top
    return Window(x1, y1, x1 + max(1, window.width - across), y1 + max(1, window.height - down))


def vote_boxes(answers: Sequence[Boxes], *, same: float = 0.5) -> tuple[Boxes, float]:
    """Return one box of several answers about one object, and how far they agree.

    Boxes are gathered by IoU; of the heaviest group the one is taken that lies nearest to all others of it.

    Args:
        answers: Boxes of one kind on one grid, one or none each.
        same: IoU from which two boxes belong together.

    Returns:
        The box (none where no answer has one), and the share of answers in its group.

    Raises:
        ValueError: There are no answers, or one holds several boxes.

    >>> given = [Boxes([[0, 0, 10, 10]], "hbb"), Boxes([[0, 1, 10, 11]], "hbb"), Boxes([[50, 50, 60, 60]], "hbb")]
    >>> box, agreed = vote_boxes(given)
    >>> box.coords.tolist(), round(agreed, 2)
    ([[0.0, 0.0, 10.0, 10.0]], 0.67)
    """
    if not answers or any(len(one) > 1 for one in answers):
        raise ValueError(
            f"{len(answers)} answers came, with {[len(one) for one in answers]} boxes; give one box or none each"
        )
    voters = [one for one in answers if len(one)]
    if not voters:
        return answers[0], 0.0
    overlap = np.array([[float(iou(a, b)[0, 0]) for b in voters] for a in voters])
    together = overlap >= same
    heaviest = int(together.sum(1).argmax())
    members = np.flatnonzero(together[heaviest])
    middle = members[int(overlap[np.ix_(members, members)].sum(1).argmax())]
    return voters[int(middle)], len(members) / len(answers)
