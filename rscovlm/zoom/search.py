"""A question that is answered under a policy: the state between two batches of replies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rscovlm.codec.control_tokens import harmless
from rscovlm.engines.engine import Reply
from rscovlm.geometry.window import Window
from rscovlm.zoom.layouts import answer_turn
from rscovlm.zoom.policies.inquiry import EngineCall, Inquiry, Look, Outcome, Policy
from rscovlm.zoom.result import Step, ZoomResult
from rscovlm.zoom.windows import ZoomView

if TYPE_CHECKING:
    from rscovlm.zoom.episode import Episode


class Search:
    """Runs a policy on a question, then has the question answered with the windows that it chose.

    It is driven as an :class:`Episode` is, with several conversations at a time: ``calls`` wait for replies, ``receive`` takes
    them, ``result`` has the answer once ``done``.

    Args:
        policy: Who decides where to look.
        inquiry: The question.
        answer: Gives the episode in which the question is answered, offered the tool or not.
        max_new_tokens: Limit of generated tokens of the answer.
        most: Windows that the answer may be given from, those of the highest scores; 0 asks about the overviews alone, and None leaves
            the number to the policy. The rest is counted as ``max_steps``.
    """

    def __init__(
        self,
        policy: Policy,
        inquiry: Inquiry,
        answer: Callable[[bool], Episode],
        max_new_tokens: int,
        *,
        most: int | None = None,
    ) -> None:
        self._policy, self._inquiry, self._make, self._longest = policy, inquiry, answer, max_new_tokens
        self._most = most
        self._plan = policy.search(inquiry)
        self._calls: list[EngineCall] = []
        self._steps: list[Step] = []
        self._last: EngineCall | None = None
        self._visual_tokens = 0
        self._outcome: Outcome | None = None
        self._episode: Episode | None = None
        if most == 0:
            inquiry.problems["max_steps"] += 1
            self._decide(Outcome())
        else:
            self._advance(None)

    @property
    def done(self) -> bool:
        """Whether there is an answer."""
        if self._outcome is None:
            return False
        return self._episode is None or self._episode.done

    @property
    def calls(self) -> Sequence[EngineCall]:
        """What waits for replies, all at once."""
        if self._episode is not None:
            return [EngineCall(self._episode.pending, self._longest, False, 0)]
        return self._calls

    def receive(self, replies: Sequence[Reply]) -> None:
        """Take the replies to ``calls``, in their order."""
        if self._episode is not None:
            self._episode.receive(replies[0])
            return
        self._last = self._calls[0]
        self._visual_tokens += sum(call.visual_tokens for call in self._calls)
        self._steps += [Step(reply.text, reply.tokens, reply.seconds, reply.finish) for reply in replies]
        self._advance(list(replies))

    def result(self) -> ZoomResult:
        """Return the answer with its evidence and what the policy weighed.

        Raises:
            ValueError: There is no answer yet.
        """
        outcome, inquiry = self._outcome, self._inquiry
        if outcome is None or not self.done:
            raise ValueError("there is no answer yet; feed replies to `receive` until `done`")
        if self._episode is not None:
            found = self._episode.result()
        else:
            found = self._answered(outcome)
        return replace(
            found,
            steps=(*self._steps, *found.steps),
            problems=inquiry.problems + found.problems,
            read_seconds=found.read_seconds + inquiry.read_seconds,
            policy=self._policy.name,
            confidence=outcome.confidence,
            looks=tuple(inquiry.looks),
            searched_tokens=self._visual_tokens,
            declined=outcome.declined,
        )

    def _advance(self, replies: list[Reply] | None) -> None:
        """Run the policy to its next questions or its end."""
        try:
            self._calls = next(self._plan) if replies is None else self._plan.send(replies)
        except StopIteration as end:
            if not isinstance(end.value, Outcome):
                raise RuntimeError(f"policy {self._policy.name!r} returned {end.value!r}; return an Outcome") from None
            self._decide(end.value)
            return
        if not self._calls:
            raise RuntimeError(
                f"policy {self._policy.name!r} asked nothing and did not end; yield what it asks, or return"
            )
        if self._inquiry.calls_left < 0 or self._inquiry.tokens_left < 0:
            # Ours ask `affordable` first; a policy of the user's that does not is ended here, unasked.
            self._plan.close()
            self._inquiry.problems["overspent"] += 1
            self._decide(Outcome())

    def _decide(self, outcome: Outcome) -> None:
        """Take what the policy decided: its answer, or the windows to answer from."""
        inquiry = self._inquiry
        inside = [look for look in outcome.windows if self._clipped(look) is not None]
        inquiry.problems.update(
            {"outside": len(outcome.windows) - len(inside)} if len(inside) < len(outcome.windows) else {}
        )
        if outcome.answer is None and self._most is not None and len(inside) > self._most:
            best = sorted(inside, key=lambda look: -look.score)[: self._most]
            inquiry.problems["max_steps"] += len(inside) - len(best)
            inside = [look for look in inside if look in best]
        self._calls, self._outcome = [], replace(outcome, windows=inside)
        if outcome.answer is None:
            self._episode = self._make(bool(inside))
            for look in inside:
                if not self._episode.show(self._clipped(look) or look.window, look.source):
                    inquiry.problems["max_visual_tokens"] += 1

    def _clipped(self, look: Look) -> Window | None:
        """Return the part of a window that lies on its image, in whole pixels; None where there is none."""
        if not 0 <= look.source < len(self._inquiry.rasters):
            return None
        raster = self._inquiry.rasters[look.source]
        window = Window(*(int(side) for side in look.window)).clipped(raster.width, raster.height)
        return None if window.empty else window

    def _answered(self, outcome: Outcome) -> ZoomResult:
        """Return the result of a policy that answered by itself: what it chose is its evidence."""
        inquiry, views = self._inquiry, list(self._inquiry.overviews)
        for look in outcome.windows:
            # Shown on a canvas or alone; counted among what was searched, so it costs nothing here.
            frame = inquiry.rasters[look.source].frame.cropped(*look.window)
            views.append(ZoomView(None, frame, look.window, look.source, 0))
        views = [replace(view, tokens=0) for view in views]
        messages: list[dict[str, Any]] = []
        if self._last is not None and not outcome.declined:
            messages = [*self._last.conversation.messages, answer_turn(harmless(outcome.answer or ""))]
        return ZoomResult(
            inquiry.question,
            outcome.answer or "",
            "declined" if outcome.declined else "answer" if outcome.finish == "stop" else outcome.finish,
            tuple(views),
            (),
            type(inquiry.problems)(),
            messages,
            None,
            0.0,
            seen=outcome.view,
            finish=outcome.finish,
        )
