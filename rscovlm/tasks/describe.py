"""Region captioning: what the object in a given box is, in words that mean it and no other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from rscovlm.codec.categories import referent
from rscovlm.codec.dialect import Dialect
from rscovlm.codec.wording import plainest
from rscovlm.engines.engine import Reply, check_engine, dialect_of, replies
from rscovlm.geometry import Boxes, Frame
from rscovlm.geometry.window import Window
from rscovlm.points.pairs import RasterPair
from rscovlm.processing.resolution import plan_size
from rscovlm.rasters import open_image
from rscovlm.records import Record
from rscovlm.records.views import boxes_of
from rscovlm.tasks.table import task_named
from rscovlm.tasks.task import Draw, Example, Question, Shown, Task
from rscovlm.tasks.words import WordAnswer, overview

if TYPE_CHECKING:
    from rscovlm.engines.engine import Engine


def question(dialect: Dialect, region: str, *, pick: Callable[[int], int] = plainest, change: bool = False) -> Question:
    """Return what is asked to describe a region.

    Args:
        dialect: Whose words.
        region: The box, as ``Codec.mention`` writes it on the grid that the model sees.
        pick: Chooses one of several wordings.
        change: Ask what changed there between the images.

    >>> question(Dialect.preset("rscovlm-v1"), "[10, 20, 30, 40]").user
    'Describe the object in the region [10, 20, 30, 40] so that it can be told from all others.'
    """
    asked = dialect.ask("describe_change" if change else "describe", pick=pick, region=region)
    return Question(asked.system, asked.user, gsd=asked.gsd)


class Describe(Task):
    """The expression that means the object in a box."""

    name = "describe"
    reverse = "grounding"
    category = "image-to-text"

    def needs(self, record: Record) -> Iterable[tuple[bool, str]]:
        """One object, and the expression that means it."""
        yield not record.expression.strip(), "no expression"
        yield len(record.objects) != 1, "not one object"

    def example(self, record: Record, shown: Shown, draw: Draw) -> Example:
        """Ask about the box and answer with the expression; at the rate `cyclic_rate` the other way round, as `ground`."""
        turned = draw.chance(draw.options.cyclic_rate)
        return (task_named("ground") if turned else self).one_way(record, shown, draw)

    def one_way(self, record: Record, shown: Shown, draw: Draw) -> Example:
        """Ask about the box and answer with the expression."""
        box = boxes_of(record.objects, record.objects[0].kind, shown.frames[0])
        region = draw.dialect.codec.mention(box, shown.seen())
        return Example.of(question(draw.dialect, region, pick=draw.pick), referent(record.expression), shown)


TASK = Describe()


def describe(
    engine: Engine, image: Any, boxes: Boxes, *, batch: int = 16, max_new_tokens: int = 128
) -> list[WordAnswer]:
    """Describe the object in each box of an image.

    Args:
        engine: Who answers.
        image: Whatever ``open_image`` takes; a large one is shown as the budget allows.
        boxes: In pixels of the image, or on any frame of it.
        batch: Boxes asked about at a time.
        max_new_tokens: Limit of an answer.

    Returns:
        One answer a box.

    Raises:
        ValueError: The image cannot be read.
    """
    check_engine(engine)
    dialect = dialect_of(engine)
    raster = open_image(image)
    view = overview(raster, engine)
    own = Boxes(boxes.coords, boxes.kind, raster.frame) if boxes.frame is None else boxes
    asked = [question(dialect, dialect.codec.mention(box, view.frame)) for box in own]
    return _answers(engine, asked, [view.image], view.frame, batch, max_new_tokens)


def describe_change(
    engine: Engine, before: Any, after: Any, boxes: Boxes, *, batch: int = 16, max_new_tokens: int = 128
) -> list[WordAnswer]:
    """Describe what changed in each box between two images of one place.

    Args:
        engine: Who answers.
        before: The earlier image, whatever ``open_image`` takes; large ones are shown as the budget allows.
        after: The later one.
        boxes: In pixels of the earlier image, or on any frame of it.
        batch: Boxes asked about at a time.
        max_new_tokens: Limit of an answer.

    Returns:
        One answer a box.

    Raises:
        ValueError: The images do not fit each other (see `RasterPair`) or cannot be read.
    """
    check_engine(engine)
    dialect = dialect_of(engine)
    pair = RasterPair.of(open_image(before), open_image(after))
    size = plan_size(pair.frame.width, pair.frame.height, engine.budget)
    seen = pair.frame.resized(*size)
    own = Boxes(boxes.coords, boxes.kind, pair.frame) if boxes.frame is None else boxes
    asked = [question(dialect, dialect.codec.mention(box, seen), change=True) for box in own]
    images = list(pair.windows(Window.whole(pair.frame.width, pair.frame.height), size))
    return _answers(engine, asked, images, seen, batch, max_new_tokens)


def _answers(
    engine: Engine, asked: Sequence[Question], images: Sequence[Any], seen: Frame, batch: int, most: int
) -> list[WordAnswer]:
    """Return the answers to questions about the same images, some at a time."""
    waiting, found = iter(asked), list[Reply]()
    while some := list(islice(waiting, max(1, batch))):
        found += replies(engine, [one.conversation(list(images), seen) for one in some], max_new_tokens=most)
    return [WordAnswer(reply.text.strip(), None, reply.finish, reply.tokens, reply.seconds) for reply in found]


def expressions_of(answers: Sequence[WordAnswer]) -> list[str]:
    """Return what was answered as expressions that can be looked for: one line, without a final dot and "This is".

    >>> expressions_of([WordAnswer("This is the red ship near the pier.\\nIt is long.")])
    ['red ship near the pier']
    """
    return [_expression(answer.text) for answer in answers]


def _expression(text: str) -> str:
    line = text.strip().split("\n", 1)[0].strip(" .")
    for lead in ("this is ", "it is ", "there is ", "the object is ", "a ", "an ", "the "):
        if line.lower().startswith(lead):
            line = line[len(lead) :]
    return line.strip(" .")
