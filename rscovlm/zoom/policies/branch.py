"""Plan and branch: several regions at once, each looked at alone, an answer from what was found (after GeoVista)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rscovlm.codec.control_tokens import harmless
from rscovlm.geometry.window import Window
from rscovlm.zoom.policies.confidence import words
from rscovlm.zoom.policies.inquiry import Inquiry, Look, Outcome, Plan, check_at_least
from rscovlm.zoom.policies.tree import split

_LONGEST = 600
"""Characters of what one part shows that are handed on, somewhat more than the 128 tokens asked for."""


@dataclass(frozen=True)
class PlanAndBranch:
    """Asks for regions, looks at all of them as one batch, and answers from the list of what each shows.

    Regions that share more than `same` of their area are looked at once. Where the model names none, the image is cut into
    two by two parts.

    Args:
        regions: Regions at most.
        same: IoU from which two regions are one.
        max_calls: Conversations for one question at most.
        max_visual_tokens: Visual tokens of all of these together.

    Raises:
        ValueError: A setting has no meaning.
    """

    regions: int = 4
    same: float = 0.5
    max_calls: int = 16
    max_visual_tokens: int = 20_000
    name = "branch"

    def __post_init__(self) -> None:
        check_at_least(regions=(self.regions, 1), max_calls=(self.max_calls, 3))

    def search(self, inquiry: Inquiry) -> Plan:
        """Plan, look, gather."""
        overviews = list(inquiry.overviews)
        if not inquiry.affordable(overviews):
            inquiry.problems["budget_spent"] += 1
            return Outcome()
        plan = words()["plan"].replace("{count}", str(self.regions)).replace("{question}", inquiry.question)
        form = inquiry.dialect.ask("detect", classes=["region"])
        asked = f"{plan}\n{form.user}"
        replies = yield [inquiry.ask([view], asked, max_new_tokens=256, system=form.system) for view in overviews]
        windows = self._planned(inquiry, [reply.text for reply in replies])
        looks, views = [], []
        for window, source in windows[: max(0, inquiry.calls_left - 1)]:
            view = inquiry.view(window, source, share=len(windows) + 1)
            if view is not None:
                looks.append(inquiry.note(window, source, 1.0))
                views.append(view)
        if not views:
            inquiry.problems["budget_spent"] += 1
            return Outcome()
        text = words()["part"].replace("{question}", inquiry.question)
        found = yield [inquiry.ask([view], text, max_new_tokens=128) for view in views]
        evidence = [
            (look, self._said(inquiry, reply.text.strip()))
            for look, reply in zip(looks, found, strict=True)
            if reply.text.strip(" .\"'").casefold() not in ("", "nothing", "none")
        ]
        if not evidence:
            return Outcome(looks, confidence=0.0)
        if not inquiry.affordable(overviews[:1], calls=1) or inquiry.tokens_left < sum(one.tokens for one in overviews):
            inquiry.problems["budget_spent"] += 1
            return Outcome([look for look, _ in evidence])
        lines = "\n".join(f"- {_place(inquiry, look)}: {said}" for look, said in evidence)
        gather = words()["gather"].replace("{evidence}", lines).replace("{question}", inquiry.question)
        (reply,) = yield [inquiry.ask(overviews, gather, max_new_tokens=512, answers=True)]
        share = len(evidence) / len(looks)
        return Outcome(
            [look for look, _ in evidence],
            answer=reply.text.strip(),
            confidence=share,
            finish=reply.finish,
            view=overviews[-1],
        )

    def _said(self, inquiry: Inquiry, text: str) -> str:
        """Return what a part shows as it may stand in a question: no control words, no more than a description needs."""
        if len(text) > _LONGEST:
            inquiry.problems["evidence_cut"] += 1
        return harmless(text[:_LONGEST])

    def _planned(self, inquiry: Inquiry, texts: Sequence[str]) -> list[tuple[Window, int]]:
        """Return the regions of the replies, joined where they are one; a regular cut where a reply names none."""
        windows: list[tuple[Window, int]] = []
        for source, (view, text) in enumerate(zip(inquiry.overviews, texts, strict=True)):
            boxes = inquiry.dialect.codec.decode(text, view.frame).objects.boxes.as_kind("hbb").clipped()
            inside = boxes.to(inquiry.rasters[source].frame)
            named = [
                inquiry.window(box, source) for box, area in zip(inside.coords, inside.area(), strict=True) if area > 0
            ]
            if not named:
                inquiry.problems["no_plan"] += 1
                named = split(Window.whole(inquiry.rasters[source].width, inquiry.rasters[source].height), 2)
            apart: list[Window] = []
            for window in sorted(named, key=lambda one: -one.area):
                if len(apart) == self.regions:
                    break
                if not any(window.overlap(other) >= self.same for other in apart):
                    apart.append(window)
            windows += [(window, source) for window in apart]
        return windows


def _place(inquiry: Inquiry, look: Look) -> str:
    """Name a region as the model writes boxes on the overview."""
    from rscovlm.geometry import Boxes

    view = inquiry.overviews[look.source]
    box = Boxes([list(look.window)], "hbb", inquiry.rasters[look.source].frame)
    numbers = ",".join(f"{float(value):g}" for value in inquiry.dialect.codec.encode_box(box, view.frame))
    return f"[{numbers}]" if len(inquiry.overviews) == 1 else f"image {look.source + 1} [{numbers}]"
