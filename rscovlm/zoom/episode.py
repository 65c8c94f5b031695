"""One question on its way to an answer: the state between two replies of the model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from rscovlm.codec.control_tokens import harmless
from rscovlm.engines.engine import Conversation, Memory, Reply
from rscovlm.geometry import Boxes, Frame
from rscovlm.geometry.window import WindowLike
from rscovlm.zoom.calls import Call, ParsedReply, Refusal, read_calls
from rscovlm.zoom.layouts import (
    WORDS,
    Layout,
    Message,
    ZoomWords,
    answer_turn,
    call_turn,
    crop_turn,
    overview_turn,
    refusal_turn,
    system_part,
    tools_part,
)
from rscovlm.zoom.refusals import TRY_AGAIN, Ending, ending_text
from rscovlm.zoom.result import Step, Stopped, ZoomResult
from rscovlm.zoom.view_history import ViewHistory
from rscovlm.zoom.windows import Limits, ZoomView, enclose

if TYPE_CHECKING:
    from rscovlm.codec import Codec
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
        words: Texts of the reference layout.
        zoom: Offer the tool.
        before: Turns of the conversation before this question, with the first of ``overviews`` in their image blocks.
        system: What the user's own system turn says.
        asked: The question as the model hears it, where that is more than the question.
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
        words: ZoomWords = WORDS,
        zoom: bool = True,
        before: Sequence[Message] = (),
        system: str | None = None,
        asked: str | None = None,
    ) -> None:
        self._shown = ViewHistory(rasters, overviews, codec=codec, budget=budget, limits=limits)
        self._limits, self._layout, self._question, self._zoom = limits, layout, question, zoom
        self._words = words
        self._system = system_part(system)
        self._opening, self._tools = self._system, None
        if zoom:
            self._opening, self._tools = tools_part(layout, several=self._shown.several, system=system, words=words)
        images = [view.image for view in overviews][len(Conversation(list(before)).images()) :]
        self._turns = [
            *before,
            overview_turn(images, question if asked is None else asked, layout, zoom=zoom, words=words),
        ]
        self._steps: list[Step] = []
        self._problems: Counter[str] = Counter()
        self._stopped: Stopped | None = None
        self._answer: str | None = None
        self._final = not zoom
        self._refusals = 0
        self._memory = Memory() if zoom else None

    @property
    def done(self) -> bool:
        """Whether there is an answer."""
        return self._answer is not None

    @property
    def pending(self) -> Conversation:
        """The conversation that waits for a reply."""
        if self._memory is not None:
            # After the last window comes the answer, or a question without the tools, which begins another text.
            self._memory.more = not self._final and self._shown.looks_left > 0
        return Conversation([*self._opening, *self._turns], self._tools, memory=self._memory)

    @property
    def spent(self) -> int:
        """Visual tokens shown so far."""
        return self._shown.spent

    @property
    def views(self) -> Sequence[ZoomView]:
        """What was shown so far, overviews first."""
        return self._shown.views

    def receive(self, reply: Reply) -> Step:
        """Take the model's reply to ``pending``: an answer, a window to show, or a call to refuse.

        Raises:
            ValueError: The question has its answer already.
        """
        if self.done:
            raise ValueError("this question has its answer already; start a new one")
        said = read_calls(reply.text, several=self._shown.several)
        step = Step(reply.text, reply.tokens, reply.seconds, reply.finish)
        if self._final or not said.calls:
            step = self._finish(said, step)
        else:
            step = self._carry_out(said, step)
        self._steps.append(step)
        return step

    def look(self, region: Boxes | Sequence[float], source: int = 0) -> None:
        """Show a region as if the model had asked for it: the upper bound of what zooming can bring.

        Args:
            region: One box in any frame of image ``source``, or x1, y1, x2, y2 in its original pixels.
            source: Which image, from 0.

        Raises:
            ValueError: The region lies outside the image, or the visual tokens leave no room for it.
        """
        raster = self._shown.rasters[source]
        box = _one_box(region, raster.frame)
        inside = box.to(raster.frame).clipped()
        if not inside.area()[0] > 0:
            raise ValueError(f"region {box.coords[0].tolist()} has no area on {raster.path}; give one inside the image")
        window = enclose([float(side) for side in inside.coords[0]], raster, self._limits)
        if not self._look(inside, window, source):
            raise ValueError(
                f"{self._limits.max_visual_tokens} visual tokens leave no room for region {window}; "
                "raise max_visual_tokens"
            )

    def show(self, window: WindowLike, source: int = 0) -> bool:
        """Show a window of an image as if the model had asked for it, where the visual tokens leave room; tell whether."""
        inside = Boxes([list(window)], "hbb", self._shown.rasters[source].frame)
        return self._look(inside, window, source)

    def _look(self, inside: Boxes, window: WindowLike, source: int) -> bool:
        """Append the call for a box and what it brings; False where the visual tokens leave no room."""
        view = self._shown.views[source]
        x1, y1, x2, y2 = (float(value) for value in self._shown.codec.encode_box(inside, view.frame))
        shown = self._shown.read(window, source)
        if shown is None:
            return False
        self._shown.looks_left = 0
        call = Call((x1, y1, x2, y2), source + 1 if self._shown.several else None)
        self._turns += [
            self._called(call, ""),
            crop_turn(shown.image, self._layout, note=self._note(source, 1), words=self._words),
        ]
        return True

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
            tuple(self._shown.views),
            tuple(self._steps),
            self._problems,
            [*self._opening, *self._turns],
            self._tools,
            self._shown.read_seconds,
            seen=self._shown.views[-1] if self._shown.views else None,
            finish=self._steps[-1].finish,
        )

    def _finish(self, said: ParsedReply, step: Step) -> Step:
        if said.calls:
            self._problems["call_after_limit" if self._zoom else "call_without_tool"] += said.calls
        if not said.text:
            self._problems["empty_answer"] += 1
        self._answer, self._memory = said.text, None
        if self._stopped is None:
            self._stopped = "answer" if step.finish == "stop" else step.finish
        self._turns.append(answer_turn(harmless(step.text)))
        return step

    def _carry_out(self, said: ParsedReply, step: Step) -> Step:
        if said.calls > 1:
            self._problems["extra_calls"] += said.calls - 1
        step = replace(step, call=said.call, refusal=said.refusal)
        if self._shown.looks_left <= 0:
            return self._end("max_steps", said, step)
        if said.call is None:
            return self._refuse(said.refusal or "malformed", said, step)
        found = self._shown.find(said.call)
        if isinstance(found, str):
            return self._refuse(found, said, replace(step, refusal=found))
        if found.cut:
            self._problems["clipped"] += 1
        before = self._shown.read_seconds
        view = self._shown.read(found.window, found.source)
        if view is None:
            return self._end("max_visual_tokens", said, step)
        note = self._note(found.source, said.calls)
        self._turns += [self._call_turn(said, step), crop_turn(view.image, self._layout, note=note, words=self._words)]
        return replace(step, view=len(self._shown.views) - 1, read_seconds=self._shown.read_seconds - before)

    def _refuse(self, refusal: Refusal, said: ParsedReply, step: Step) -> Step:
        self._problems[refusal] += 1
        reason = self._shown.reason(refusal, said.call)
        if refusal == "repeated":
            return self._end("no_progress", said, step, reason)
        self._refusals += 1
        if self._refusals > self._limits.max_refusals:
            return self._end("refused", said, step, reason)
        self._turns += [
            self._call_turn(said, step),
            refusal_turn(f"{reason} {TRY_AGAIN}", self._layout, called=said.call is not None),
        ]
        return step

    def _end(self, ending: Ending, said: ParsedReply, step: Step, reason: str = "") -> Step:
        """Ask once for the answer, without tools."""
        text = ending_text(ending, reason)
        self._turns += [self._call_turn(said, step), refusal_turn(text, self._layout, called=said.call is not None)]
        self._stopped, self._final = ending, True
        self._opening, self._tools = self._system, None
        return step

    def _call_turn(self, said: ParsedReply, step: Step) -> Message:
        """The model's turn in the conversation: its own words, or the template's tool call where it made one."""
        if self._layout == "native" and said.call is not None:
            return self._called(said.call, harmless(said.text))
        return answer_turn(harmless(step.text))

    def _called(self, call: Call, words: str) -> Message:
        bbox = [int(value) if value.is_integer() else value for value in call.bbox]
        return call_turn(bbox, self._layout, image=call.image, said=words)

    def _note(self, source: int, calls: int) -> str:
        """What the model has to know about a crop that the fixed words do not say."""
        notes = [f"It is a part of image {source + 1}."] if self._shown.several else []
        return " ".join(notes + ["Only the first call was carried out."] * (calls > 1))


def _one_box(region: Boxes | Sequence[float], frame: Frame) -> Boxes:
    """Return a region as one horizontal box that knows its frame."""
    if not isinstance(region, Boxes) and not hasattr(region, "__len__"):
        raise ValueError(f"region is {region!r}; give one box, or x1, y1, x2, y2, for each region: a list of them")
    box = region.as_kind("hbb") if isinstance(region, Boxes) else Boxes([list(region)], "hbb")
    if len(box) != 1:
        raise ValueError(f"a region is one box and {len(box)} came; give one at a time")
    return box if box.frame is not None else Boxes(box.coords, "hbb", frame)
