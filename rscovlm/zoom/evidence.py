"""Whether the region that a question names as its evidence is what answers it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageDraw

from rscovlm.engines.engine import Conversation, check_engine, replies
from rscovlm.geometry import Boxes
from rscovlm.rasters import open_image
from rscovlm.zoom.asked import Images
from rscovlm.zoom.chain import ZoomChain
from rscovlm.zoom.summary import ZoomQuestion, same_answer
from rscovlm.zoom.windows import Limits

if TYPE_CHECKING:
    from rscovlm.engines import Engine


@dataclass(frozen=True)
class EvidenceCheck:
    """What hiding the evidence of a question does.

    Attributes:
        number: The question's place in the set, from 0.
        shown: The answer when the region is shown.
        hidden: The answer when the region is grey, in the overview and in the window.
        right: The answer with the region is the true one.
        changed: The answer without it is another.
    """

    number: int
    shown: str
    hidden: str
    right: bool
    changed: bool

    @property
    def fault(self) -> str:
        """Why the question is suspect: ``wrong with its evidence``, ``the same without its evidence``, or empty."""
        if not self.right:
            return "wrong with its evidence"
        return "" if self.changed else "the same without its evidence"


def check_evidence(
    engine: Engine,
    asked: Iterable[ZoomQuestion],
    *,
    judge: Callable[[str, str], bool] = same_answer,
    margin: float = 0.1,
    max_new_tokens: int = 128,
    batch: int = 32,
) -> list[EvidenceCheck]:
    """Show each question its evidence, then the same views with the evidence painted grey, and compare the answers.

    A question whose answer stays right without its evidence can be answered from elsewhere, or by guessing; one that is
    wrong with it names the wrong region, or asks too much of the model. Questions without evidence are passed over.

    Args:
        engine: Who answers.
        asked: The questions, each with one image; of evidence in several boxes each is shown, and all are hidden.
        judge: Whether two answers are the same.
        margin: How far the grey reaches beyond the region, as a share of its sides.
        max_new_tokens: Limit of an answer.
        batch: Questions whose pictures are held at a time.

    Raises:
        ValueError: An image cannot be read, or a region lies outside of it.
    """
    check_engine(engine)
    known = ((number, row) for number, row in enumerate(asked) if row.evidence is not None)
    checks: list[EvidenceCheck] = []
    while some := list(islice(known, batch)):
        pairs = [hidden_pair(engine, row, margin=margin) for _, row in some]
        answers = answer_pairs(engine, pairs, max_new_tokens=max_new_tokens)
        checks += [
            EvidenceCheck(number, shown, hidden, judge(shown, row.answer), not judge(hidden, shown))
            for (number, row), (shown, hidden) in zip(some, answers, strict=True)
        ]
    return checks


def hidden_pair(engine: Engine, asked: ZoomQuestion, *, margin: float = 0.1) -> tuple[Conversation, Conversation]:
    """Return a question with its evidence shown, and the same conversation with the evidence painted grey in every picture.

    Args:
        engine: Who will answer.
        asked: The question, with one image and its evidence.
        margin: As for `check_evidence`.

    Raises:
        ValueError: There is no evidence, the image cannot be read, or a region lies outside of it.
    """
    if asked.evidence is None or not len(asked.evidence):
        raise ValueError(f"question {asked.question!r} has no evidence; give the region that answers it")
    raster = open_image(asked.image)
    placed = asked.evidence
    if placed.frame is None:
        placed = Boxes(placed.coords, placed.kind, raster.frame)
    overview = Images(engine, Limits()).overview(raster, 0, 1)
    episode = ZoomChain(engine).go_on([raster], [overview], asked.question)
    for row in range(len(placed)):
        episode.look(placed[[row]])
    hidden = iter([_grey(view.image, placed.to(view.view.frame), margin) for view in episode.views])
    shown = episode.pending
    messages = [
        turn
        if isinstance(turn["content"], str)
        else {**turn, "content": [_swapped(one, hidden) for one in turn["content"]]}
        for turn in shown.messages
    ]
    return shown, Conversation(messages, shown.tools)


def answer_pairs(
    engine: Engine, pairs: Sequence[tuple[Conversation, Conversation]], *, max_new_tokens: int = 128
) -> list[tuple[str, str]]:
    """Return the answers to pairs of `hidden_pair`: with the evidence and without, all asked as one batch."""
    asked = [conversation for pair in pairs for conversation in pair]
    texts = [reply.text.strip() for reply in replies(engine, asked, max_new_tokens=max_new_tokens)]
    return list(zip(texts[::2], texts[1::2], strict=True))


def _swapped(block: dict[str, Any], pictures: Iterator[Image.Image]) -> dict[str, Any]:
    return {**block, "image": next(pictures)} if block["type"] == "image" else block


def _grey(image: Image.Image, regions: Boxes, margin: float) -> Image.Image:
    """Return a picture with regions painted in the mean brightness of the whole."""
    painted = image.convert("RGB")
    mean = painted.resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
    # Without colour, so that nothing of what is hidden shows through.
    level = round(sum(mean) / 3) if isinstance(mean, tuple) else 128
    for x1, y1, x2, y2 in regions.as_kind("hbb").coords.tolist():
        across, down = margin * (x2 - x1) + 1, margin * (y2 - y1) + 1
        ImageDraw.Draw(painted).rectangle((x1 - across, y1 - down, x2 + across, y2 + down), fill=(level, level, level))
    return painted
