"""Zooming as an environment for reinforcement learning: the same windows, limits and refusals as in the chain.

TRL's ``GRPOTrainer`` takes it as ``environment_factory`` and the rewards as ``reward_funcs``; nothing here imports TRL.

A row of the data set has ``prompt`` (a user turn with empty text), ``scene`` (whatever ``open_image`` takes),
``question``, ``answer`` and, where known, ``evidence`` (x1, y1, x2, y2 in original pixels)::

    GRPOTrainer(
        model,
        processing_class=processor,
        environment_factory=environments(processor.codec, processor.budget),
        reward_funcs=[answer_reward, evidence_reward, format_reward],
        train_dataset=rows,
        ...
    )

TRL finds the calls in what a model wrote by the tokenizer's ``response_template``, which it sets for stock chat
templates only: ``processor.tokenizer.response_template = RESPONSE_WITH_CALLS`` from ``rscovlm.processing`` says it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from rscovlm.rasters import open_image
from rscovlm.zoom.calls import check_arguments
from rscovlm.zoom.refusals import TRY_AGAIN, ending_text
from rscovlm.zoom.summary import covered, same_answer
from rscovlm.zoom.view_history import ViewHistory
from rscovlm.zoom.windows import Limits, show

if TYPE_CHECKING:
    from rscovlm.codec import Codec
    from rscovlm.processing import PixelBudget

Block = dict[str, Any]


class ZoomEnvironment:
    """One question about one image, with the tool that looks closer.

    TRL makes an instance for each rollout and offers its public methods, save ``reset``, as tools.

    Args:
        codec: How the model writes boxes.
        budget: The pixels the model sees of an image.
        limits: What may be spent on a question.
    """

    def __init__(self, codec: Codec, budget: PixelBudget, limits: Limits | None = None) -> None:
        self._codec, self._budget, self._limits = codec, budget, limits or Limits()
        self._shown: ViewHistory | None = None
        self._evidence: Sequence[float] | None = None
        self._calls = self._refused = 0

    def reset(self, scene: Any, question: str, evidence: Sequence[float] | None = None, **_: Any) -> list[Block]:
        """Start a question and return what the model sees first: the overview and the question.

        Raises:
            ValueError: The image cannot be read, or does not fit into the visual tokens.
        """
        raster = open_image(scene)
        limit = self._limits.max_visual_tokens
        views = (show(raster, None, 0, self._budget, share) for share in (limit // 2, limit))
        overview = next((view for view in views if view is not None), None)
        if overview is None:
            raise ValueError(f"{raster.path} does not fit into {limit} visual tokens; raise max_visual_tokens")
        self._shown = ViewHistory([raster], [overview], codec=self._codec, budget=self._budget, limits=self._limits)
        self._evidence, self._calls, self._refused = evidence, 0, 0
        return [{"type": "image", "image": overview.image}, {"type": "text", "text": question}]

    def image_zoom_in(self, bbox: list[float]) -> list[Block]:
        """Look at a region of the image again, read from the original at the best resolution available.

        Args:
            bbox: Region as [x1, y1, x2, y2], left top and right bottom corner, in coordinates of the image shown last.

        Returns:
            The region.
        """
        if self._shown is None:
            raise ValueError("there is no image yet; call reset first")
        self._calls += 1
        if self._shown.looks_left <= 0:
            return self._refuse(ending_text("max_steps"))
        call, refusal = check_arguments({"bbox": bbox})
        found = self._shown.find(call) if call is not None else refusal
        if found is None or isinstance(found, str):
            return self._refuse(f"{self._shown.reason(found or 'malformed', call)} {TRY_AGAIN}")
        view = self._shown.read(found.window, found.source)
        if view is None:
            return self._refuse(ending_text("max_visual_tokens"))
        return [{"type": "image", "image": view.image}]

    @property
    def zoomed(self) -> bool:
        """Whether any window was shown."""
        return self._shown is not None and len(self._shown.views) > 1

    @property
    def refused_share(self) -> float:
        """Share of the calls that brought no picture; 0 without calls."""
        return self._refused / self._calls if self._calls else 0.0

    @property
    def evidence_share(self) -> float | None:
        """Largest share of the evidence that one shown window holds; ``None`` where the evidence is not known."""
        if self._evidence is None or self._shown is None:
            return None
        windows = [view.window for view in self._shown.views[1:]]
        return max((covered(self._evidence, window) for window in windows), default=0.0)

    def _refuse(self, text: str) -> list[Block]:
        self._refused += 1
        return [{"type": "text", "text": text}]


def environments(codec: Codec, budget: PixelBudget, limits: Limits | None = None) -> Callable[[], ZoomEnvironment]:
    """Return the factory that ``GRPOTrainer(environment_factory=...)`` takes."""
    return lambda: ZoomEnvironment(codec, budget, limits)


def answer_reward(completions: Sequence[Any], answer: Sequence[str], **_: Any) -> list[float]:
    """1 where the last turn says the right answer (but for case, outer spaces and a final dot), else 0.

    >>> answer_reward([[{"role": "assistant", "content": "Red."}]], answer=["red"])
    [1.0]
    """
    return [float(same_answer(last_words(one), truth)) for one, truth in zip(completions, answer, strict=True)]


def evidence_reward(environments: Sequence[ZoomEnvironment], **_: Any) -> list[float | None]:
    """1 where a window shows at least nine tenths of the evidence, else 0; ``None`` where the evidence is not known."""
    shares = [one.evidence_share for one in environments]
    return [None if share is None else float(share >= 0.9) for share in shares]


def format_reward(environments: Sequence[ZoomEnvironment], **_: Any) -> list[float]:
    """1 less the share of calls that were refused."""
    return [1.0 - one.refused_share for one in environments]


def length_reward(
    completion_ids: Sequence[Sequence[int]], *, free: int = 128, most: int = 1024, **_: Any
) -> list[float]:
    """1 up to ``free`` generated tokens, then falling to 0 at ``most``.

    >>> length_reward([[0] * 100, [0] * 576, [0] * 2000])
    [1.0, 0.5, 0.0]
    """
    return [min(1.0, max(0.0, (most - len(ids)) / (most - free))) for ids in completion_ids]


def last_words(completion: Any) -> str:
    """Return the text of a completion: a string, or turns of which the last one of the assistant counts.

    >>> last_words([{"role": "assistant", "content": "none"}])
    'none'
    """
    if isinstance(completion, str):
        return completion
    turns = [turn for turn in completion if turn.get("role") == "assistant"]
    content = turns[-1].get("content") or "" if turns else ""
    return content if isinstance(content, str) else "".join(block.get("text", "") for block in content)
