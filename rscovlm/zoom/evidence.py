"""Whether the region that a question names as its evidence is what answers it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw

from rscovlm.engines.engine import check_engine, replies
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
) -> list[EvidenceCheck]:
    """Show each question its evidence, then the same views with the evidence painted grey, and compare the answers.

    A question whose answer stays right without its evidence can be answered from elsewhere, or by guessing; one that is
    wrong with it names the wrong region, or asks too much of the model. Questions without evidence are passed over.

    Args:
        engine: Who answers.
        asked: The questions, each with one image.
        judge: Whether two answers are the same.
        margin: How far the grey reaches beyond the region, as a share of its sides.
        max_new_tokens: Limit of an answer.

    Raises:
        ValueError: An image cannot be read, or a region lies outside of it.
    """
    check_engine(engine)
    rows = [(number, row, row.evidence) for number, row in enumerate(asked) if row.evidence is not None]
    chain = ZoomChain(engine, max_steps=1, max_new_tokens=max_new_tokens)
    conversations = []
    for _, row, region in rows:
        raster = open_image(row.image)
        overview = Images(engine, Limits()).overview(raster, 0, 1)
        episode = chain.go_on([raster], [overview], row.question)
        episode.look(region)
        placed = region if region.frame is not None else Boxes(region.coords, region.kind, raster.frame)
        hidden = [_grey(view.image, placed.to(view.view.frame), margin) for view in episode.views]
        conversation = episode.pending
        conversations.append(conversation)
        pictures = iter(hidden)
        messages = [
            {
                **turn,
                "content": [
                    {**block, "image": next(pictures)} if block["type"] == "image" else block
                    for block in turn["content"]
                ],
            }
            if not isinstance(turn["content"], str)
            else turn
            for turn in conversation.messages
        ]
        conversations.append(type(conversation)(messages, conversation.tools))
    answers = [reply.text.strip() for reply in replies(engine, conversations, max_new_tokens=max_new_tokens)]
    return [
        EvidenceCheck(number, shown, hidden, judge(shown, row.answer), not judge(hidden, shown))
        for (number, row, _), shown, hidden in zip(rows, answers[::2], answers[1::2], strict=True)
    ]


def _grey(image: Image.Image, region: Boxes, margin: float) -> Image.Image:
    """Return a picture with a region painted in the mean colour of the whole."""
    x1, y1, x2, y2 = (float(side) for side in region.as_kind("hbb").coords[0])
    across, down = margin * (x2 - x1) + 1, margin * (y2 - y1) + 1
    painted = image.convert("RGB")
    mean = painted.resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
    # Without colour, so that nothing of what is hidden shows through.
    level = round(sum(mean) / 3) if isinstance(mean, tuple) else 128
    ImageDraw.Draw(painted).rectangle((x1 - across, y1 - down, x2 + across, y2 + down), fill=(level, level, level))
    return painted
