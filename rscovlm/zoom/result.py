"""What a chain hands back: the answer and everything it rests on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rscovlm.engines.engine import Finish
from rscovlm.geometry.window import WindowLike
from rscovlm.zoom.calls import Call, Refusal
from rscovlm.zoom.windows import ZoomView

if TYPE_CHECKING:
    from PIL import Image

    from rscovlm.zoom.policies.inquiry import Look

#: Why a chain stopped: the model answered (``answer``, or ``length`` / ``repeat`` when that answer was cut off), or it
#: was asked for its answer without tools because of a limit on steps or visual tokens, the same window again, or more
#: broken calls than allowed. ``declined``: a policy found that the image cannot answer it.
Stopped = Literal["answer", "length", "repeat", "max_steps", "max_visual_tokens", "no_progress", "refused", "declined"]


@dataclass(frozen=True)
class Step:
    """One reply of the model and what came of it.

    Attributes:
        text: What the model wrote, as it stands.
        tokens: Generated tokens.
        seconds: The engine's time for it.
        finish: How the reply ended.
        call: The zoom call in it, when it fits the schema.
        refusal: Why the call was not carried out.
        view: Index into the result's ``views`` of what the call brought, or ``None``.
        read_seconds: Time to read that view from the original.
    """

    text: str
    tokens: int
    seconds: float
    finish: Finish
    call: Call | None = None
    refusal: Refusal | None = None
    view: int | None = None
    read_seconds: float = 0.0


@dataclass(frozen=True)
class ZoomResult:
    """An answer with its evidence.

    Attributes:
        question: What was asked.
        answer: The model's answer, without any call.
        stopped: Why the chain stopped.
        views: Every image the model was shown, overviews first.
        steps: Every reply of the model.
        problems: Counts by reason: each refusal, ``extra_calls`` (more than one in a reply), ``call_after_limit`` (the
            final answer held a call), ``call_without_tool`` (a call though no tool was offered), ``clipped`` (a region
            reached over the border), ``empty_answer``.
        messages: The conversation as it ended.
        tools: Its tools, where the layout has them beside the messages.
        read_seconds: Time to read all views.
        policy: Who decided where to look: ``call`` (the model's own calls), ``none``, or a policy of `rscovlm.zoom.policies`.
        confidence: The policy's, from 0 to 1; None where it has none.
        looks: Every part of an image that the policy weighed.
        searched_tokens: Visual tokens of all that the policy had the model look at, besides ``views``.
        declined: Why the question was not answered, empty where it was.
        seen: What boxes in the answer lie on; None where nothing says.
        finish: How the reply with the answer ended, whatever ended the looking.
    """

    question: str
    answer: str
    stopped: Stopped
    views: Sequence[ZoomView]
    steps: Sequence[Step]
    problems: Counter[str]
    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]] | None
    read_seconds: float
    policy: str = "call"
    confidence: float | None = None
    looks: Sequence[Look] = ()
    searched_tokens: int = 0
    declined: str = ""
    seen: ZoomView | None = None
    finish: Finish = "stop"

    @property
    def windows(self) -> list[WindowLike]:
        """The windows zoomed into, in original pixels, in order; overviews left out."""
        return [view.window for view in self.crops]

    @property
    def crops(self) -> list[ZoomView]:
        """The views that zoom in."""
        overviews = len({view.source for view in self.views})
        return list(self.views[overviews:])

    @property
    def zoomed(self) -> bool:
        """Whether the model was shown any window."""
        return bool(self.crops)

    @property
    def tokens(self) -> int:
        """Generated tokens."""
        return sum(step.tokens for step in self.steps)

    @property
    def visual_tokens(self) -> int:
        """Visual tokens of all images shown, those of a search included."""
        return sum(view.tokens for view in self.views) + self.searched_tokens

    @property
    def calls(self) -> int:
        """Conversations that the engine answered."""
        return len(self.steps)

    @property
    def seconds(self) -> float:
        """Time of the engine and of reading."""
        return sum(step.seconds for step in self.steps) + self.read_seconds

    def without_pictures(self) -> ZoomResult:
        """Return the same result without any picture: some kilobytes in place of megabytes. It cannot be drawn."""
        views = tuple(replace(view, picture=None) for view in self.views)
        seen = None if self.seen is None else replace(self.seen, picture=None)
        return replace(self, views=views, seen=seen, messages=[_bare(turn) for turn in self.messages])

    def draw(self, source: int = 0) -> Image.Image:
        """Return the overview of one image with the windows that were looked into, numbered in order."""
        from rscovlm.zoom.drawing import draw_windows

        self._check_source(source)
        mine = [view for view in self.crops if view.source == source]
        return draw_windows(self.views[source], mine)

    def to_map(self, path: str | PathLike[str], source: int = 0, *, overwrite: bool = False) -> Path:
        """Write a page that shows question, answer and windows on one image, on a map where it has a place."""
        from rscovlm.exports.map_page import map_page

        self._check_source(source)
        steps = [view.view for view in self.crops if view.source == source]
        overview = self.views[source].view
        return map_page(
            path,
            overview,
            steps=steps,
            title="Zoom",
            question=self.question,
            answer=self.answer,
            overwrite=overwrite,
        )

    def _check_source(self, source: int) -> None:
        images = len({view.source for view in self.views})
        if not 0 <= source < images:
            raise ValueError(f"source is {source}; give 0 to {images - 1}, one of the images asked about")


def _bare(turn: dict[str, Any]) -> dict[str, Any]:
    """Return a turn with its image blocks empty."""
    content = turn.get("content")
    if not isinstance(content, list):
        return turn
    return {**turn, "content": [{"type": "image"} if block.get("type") == "image" else block for block in content]}
