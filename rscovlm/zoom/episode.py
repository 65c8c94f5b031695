"""One question on its way to an answer: the state between two replies of the model."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from rscovlm.engines.engine import Conversation, Reply
from rscovlm.zoom.calls import Call, Refusal, Said, read_calls
from rscovlm.zoom.layouts import (
    Layout,
    Message,
    answer_turn,
    call_turn,
    crop_turn,
    overview_turn,
    refusal_turn,
    tools_part,
)
from rscovlm.zoom.refusals import TRY_AGAIN, Ending, ending_text, refusal_text
from rscovlm.zoom.result import Step, Stopped, ZoomResult
from rscovlm.zoom.windows import Limits, Window, ZoomView, enclose, locate, overlap, show

if TYPE_CHECKING:
    from rscovlm.codec import Codec
    from rscovlm.geometry import Boxes
    from rscovlm.processing.resolution import PixelBudget
    from rscovlm.rasters import Raster


class Episode:
    """The conversation about one question, turn by turn.

    ``pending`` is what an engine has to answer next; ``receive`` takes the reply; once ``done``, ``result`` holds the
    answer. It knows no engine, so the same state machine serves a batch, a stream, and reinforcement learning.

    Args:
        rasters: The images asked about.
        overviews: What the model sees of each at first, in the same order.
        question: The question.
        codec: How the model writes boxes.
        budget: The pixels the model sees of an image.
        limits: What may be spent.
        layout: Conversation layout.
        zoom: Offer the tool.
    """

    def __init__(
        self,
        rasters: Sequence[Raster],
        overviews: Sequence[ZoomView],
        question: str,
        *,
        codec: Codec,
        budget: PixelBudget,
        limits: Limits,
        layout: Layout,
        zoom: bool = True,
    ) -> None:
        self._rasters, self._codec, self._budget = rasters, codec, budget
        self._limits, self._layout, self._question, self._zoom = limits, layout, question, zoom
        self._several = len(rasters) > 1
        self._opening, self._tools = tools_part(layout, several=self._several) if zoom else ([], None)
        images = [view.image for view in overviews]
        self._turns = [overview_turn(images, question, layout, zoom=zoom)]
        self._views = list(overviews)
        self._steps: list[Step] = []
        self._problems: Counter[str] = Counter()
        self._stopped: Stopped | None = None
        self._answer: str | None = None
        self._final = not zoom
        self._refusals = 0
        self._looks_left = limits.max_steps
        self._read_seconds = 0.0

    @property
    def done(self) -> bool:
        """Whether there is an answer."""
        return self._answer is not None

    @property
    def pending(self) -> Conversation:
        """The conversation that waits for a reply."""
        return Conversation([*self._opening, *self._turns], self._tools)

    @property
    def spent(self) -> int:
        """Visual tokens shown so far."""
        return sum(view.tokens for view in self._views)

    def receive(self, reply: Reply) -> Step:
        """Take the model's reply to ``pending``: an answer, a window to show, or a call to refuse."""
        if self.done:
            raise ValueError("this question has its answer already; start a new one")
        said = read_calls(reply.text, several=self._several)
        step = Step(reply.text, reply.tokens, reply.seconds, reply.finish)
        if self._final or not said.calls:
            step = self._finish(said, step)
        else:
            step = self._carry_out(said, step)
        self._steps.append(step)
        return step

    def look(self, region: Boxes, source: int = 0) -> None:
        """Show a region as if the model had asked for it: the upper bound of what zooming can bring.

        Args:
            region: One box on image ``source``, in any frame of it.
            source: Which image, from 0.
        """
        view, raster = self._views[source], self._rasters[source]
        box = region.as_kind("hbb").to(raster.frame).clipped()
        window = enclose([float(side) for side in box.coords[0]], raster, self._limits)
        numbers = [float(value) for value in self._codec.encode_box(region.as_kind("hbb").to(view.frame), view.frame)]
        call = Call((numbers[0], numbers[1], numbers[2], numbers[3]), source + 1 if self._several else None)
        shown, _ = self._read(window, source)
        if shown is None:
            raise ValueError(
                f"{self._limits.max_visual_tokens} visual tokens leave no room for region {window}; "
                "raise max_visual_tokens"
            )
        self._looks_left = 0
        self._turns += [self._called(call, ""), crop_turn(shown.image, self._layout, note=self._note(source, 1))]

    def result(self) -> ZoomResult:
        """Return the answer with its evidence.

        Raises:
            ValueError: There is no answer yet.
        """
        if self._answer is None or self._stopped is None:
            raise ValueError("there is no answer yet; feed replies to `receive` until `done`")
        return ZoomResult(
            self._question,
            self._answer,
            self._stopped,
            tuple(self._views),
            tuple(self._steps),
            self._problems,
            [*self._opening, *self._turns],
            self._tools,
            self._read_seconds,
        )

    def _finish(self, said: Said, step: Step) -> Step:
        if said.calls:
            self._problems["call_after_limit" if self._zoom else "call_without_tool"] += said.calls
        if not said.text:
            self._problems["empty_answer"] += 1
        self._answer = said.text
        if self._stopped is None:
            self._stopped = "answer" if step.finish == "stop" else step.finish
        self._turns.append(answer_turn(step.text))
        return step

    def _carry_out(self, said: Said, step: Step) -> Step:
        if said.calls > 1:
            self._problems["extra_calls"] += said.calls - 1
        step = replace(step, call=said.call, refusal=said.refusal)
        if self._looks_left <= 0:
            return self._end("max_steps", said, step)
        window, source, refusal = self._locate(said)
        if window is None:
            refusal = refusal or "malformed"
            return self._refuse(refusal, said, replace(step, refusal=refusal))
        shown, seconds = self._read(window, source)
        if shown is None:
            return self._end("max_visual_tokens", said, step)
        self._turns += [
            self._call_turn(said, step),
            crop_turn(shown.image, self._layout, note=self._note(source, said.calls)),
        ]
        return replace(step, view=len(self._views) - 1, read_seconds=seconds)

    def _locate(self, said: Said) -> tuple[Window | None, int, Refusal | None]:
        if said.call is None:
            return None, 0, said.refusal or "malformed"
        number = said.call.image or len(self._views)
        if number > len(self._views):
            return None, 0, "bad_arguments"
        view = self._views[number - 1]
        located = locate(said.call, view, self._rasters[view.source], self._codec, self._limits)
        if located is None:
            return None, view.source, "outside"
        window, cut = located
        former = (other.window for other in self._views if other.source == view.source)
        if any(overlap(window, other) > self._limits.same for other in former):
            return None, view.source, "repeated"
        if cut:
            self._problems["clipped"] += 1
        return window, view.source, None

    def _refuse(self, refusal: Refusal, said: Said, step: Step) -> Step:
        self._problems[refusal] += 1
        if refusal == "repeated":
            return self._end("no_progress", said, step, self._reason(refusal, said))
        self._refusals += 1
        reason = self._reason(refusal, said)
        if self._refusals > self._limits.max_refusals:
            return self._end("refused", said, step, reason)
        self._turns += [
            self._call_turn(said, step),
            refusal_turn(f"{reason} {TRY_AGAIN}", self._layout, called=said.call is not None),
        ]
        return step

    def _end(self, ending: Ending, said: Said, step: Step, reason: str = "") -> Step:
        """Ask once for the answer, without tools."""
        text = ending_text(ending, reason)
        self._turns += [self._call_turn(said, step), refusal_turn(text, self._layout, called=said.call is not None)]
        self._stopped, self._final = ending, True
        self._opening, self._tools = [], None
        return step

    def _reason(self, refusal: Refusal, said: Said) -> str:
        number = said.call.image if said.call is not None and said.call.image else len(self._views)
        frame = self._views[min(number, len(self._views)) - 1].frame
        # How far the image reaches in the codec's own coordinates, found from what one of its units is in pixels.
        across, down = self._codec.decode_box([0, 0, 1, 1], frame).coords[0, 2:]
        width, height = round(frame.width / float(across)), round(frame.height / float(down))
        return refusal_text(refusal, width=width, height=height, images=len(self._views), several=self._several)

    def _call_turn(self, said: Said, step: Step) -> Message:
        """The model's turn in the conversation: its own words, or the template's tool call where it made one."""
        if self._layout == "native" and said.call is not None:
            return self._called(said.call, said.text)
        return answer_turn(step.text)

    def _called(self, call: Call, words: str) -> Message:
        bbox = [int(value) if value.is_integer() else value for value in call.bbox]
        return call_turn(bbox, self._layout, image=call.image, said=words)

    def _note(self, source: int, calls: int) -> str:
        """What the model has to know about a crop that the fixed words do not say."""
        notes = [f"It is a part of image {source + 1}."] if self._several else []
        return " ".join(notes + ["Only the first call was carried out."] * (calls > 1))

    def _read(self, window: Window, source: int) -> tuple[ZoomView | None, float]:
        start = time.perf_counter()
        left = self._limits.max_visual_tokens - self.spent
        shown = show(self._rasters[source], window, source, self._budget, left)
        seconds = time.perf_counter() - start
        self._read_seconds += seconds
        if shown is not None:
            self._views.append(shown)
            self._looks_left -= 1
        return shown, seconds
