"""What a task is: the one thing that rendering, inference, evaluation and prediction go through."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from rscovlm.codec.categories import spoken
from rscovlm.codec.dialect import Dialect
from rscovlm.codec.wording import Prompt
from rscovlm.codec.writing import Style
from rscovlm.engines.engine import Conversation
from rscovlm.engines.unstated import check_stated
from rscovlm.geometry import Frame, Objects
from rscovlm.geometry.kinds import Kind
from rscovlm.rasters.ground import ground_sample_distance
from rscovlm.records import Record, Rejected, Turn
from rscovlm.tasks.options import RenderOptions, synonyms
from rscovlm.tasks.served import Served
from rscovlm.tasks.wanted import Wanted
from rscovlm.zoom.layouts import answer_turn

if TYPE_CHECKING:
    from rscovlm.codec.grammar import Grammar
    from rscovlm.codec.point_objects import PointObject
    from rscovlm.processing.resolution import PixelBudget
    from rscovlm.records.pictures import Picture

Row = dict[str, Any]
Message = dict[str, Any]


@dataclass(frozen=True)
class Question:
    """What is asked about some images, the same in training and in inference.

    Attributes:
        system: System text; None if there is none.
        user: The user's text, which stands after the images.
        grammar: What an answer looks like, where it is held to one.
        gsd: How the ground sample distance is said, as in `Prompt`.
        marked: `<image>` in the text marks where each image stands; without it they stand before the text.
    """

    system: str | None
    user: str
    grammar: Grammar | None = field(default=None, compare=False)
    gsd: str = ""
    marked: bool = False

    def stated(self, frame: Frame | None) -> str:
        """Return the user's text, with the ground sample distance of a frame where the dialect says it and it is known."""
        known = ground_sample_distance(frame) if self.gsd and frame is not None else None
        return Prompt(self.system, self.user, self.gsd).stated(known)

    def messages(self, images: Sequence[Any], frame: Frame | None = None) -> list[Message]:
        """Return the turns that ask.

        Args:
            images: What the processor takes; None for an image that is filled in later.
            frame: The grid in which the model sees the first image, whose ground sample distance some dialects say.
        """
        blocks = [{"type": "image"} if image is None else {"type": "image", "image": image} for image in images]
        content = interleaved(self.stated(frame), blocks) if self.marked else []
        user = {"role": "user", "content": content or [*blocks, {"type": "text", "text": self.stated(frame)}]}
        if self.system is None:
            return [user]
        return [{"role": "system", "content": self.system}, user]

    def conversation(self, images: Sequence[Any], frame: Frame | None = None) -> Conversation:
        """Return what an engine is given."""
        return Conversation(self.messages(images, frame), grammar=self.grammar)


def interleaved(text: str, images: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the blocks of a text in which `<image>` marks where each image stands.

    Args:
        text: The text.
        images: Blocks of images, one a mark; none at all leaves the marks out.

    >>> interleaved("Before: <image>\\nafter: <image>", [{"type": "image"}, {"type": "image"}])[2]
    {'type': 'text', 'text': 'after: '}
    """
    parts = text.split("<image>")
    content: list[dict[str, Any]] = []
    for place, part in enumerate(parts):
        content += [dict(images[place - 1])] if place and images else []
        content += [{"type": "text", "text": part.strip("\n")}] if part.strip() else []
    return content


@dataclass(frozen=True)
class Draw:
    """What decides how a record is put into words: the dialect, the options, and a random generator.

    Attributes:
        dialect: Codec and wording.
        options: Rates of what may be drawn.
        rng: The generator; the order of draws from it is part of what a seed means.
    """

    dialect: Dialect
    options: RenderOptions
    rng: np.random.Generator

    def pick(self, count: int) -> int:
        """Choose one of so many texts: the plainest, or with the rate `rephrase_rate` another."""
        if count > 1 and self.rng.random() < self.options.rephrase_rate:
            return 1 + int(self.rng.integers(count - 1))
        return 0

    def chance(self, rate: float) -> bool:
        """Tell whether something of a rate happens; nothing is drawn for a rate of 0."""
        return bool(rate) and bool(self.rng.random() < rate)

    def form(self, task: str) -> tuple[Kind, Style]:
        """Draw the box kind and the style of an answer."""
        own_kind, own_style = self.dialect.form(task)
        weighed = self.options.kinds or {own_kind: 1.0}
        kinds: list[Kind] = sorted(weighed)
        weights = np.array([weighed[kind] for kind in kinds], dtype=np.float64)
        kind = kinds[int(self.rng.choice(len(kinds), p=weights / weights.sum()))] if len(kinds) > 1 else kinds[0]
        if self.options.json_rate is None:
            return kind, own_style
        return kind, "json" if self.rng.random() < self.options.json_rate else "plain"

    def style(self, own: Style) -> Style:
        """Draw the style of an answer that is no list of boxes: the one given, or JSON with the rate ``json_rate``."""
        if self.options.json_rate is None:
            return own
        return "json" if self.rng.random() < self.options.json_rate else "plain"

    def name(self, label: str) -> str:
        """Return a class as it is named, at times by a synonym."""
        name = spoken(label)
        others = synonyms().get(name, ())
        if others and self.chance(self.options.synonym_rate):
            return others[int(self.rng.integers(len(others)))]
        return name


@dataclass(frozen=True)
class Shown:
    """The images of a record as a sample shows them.

    Attributes:
        pictures: What is shown.
        frames: The grids of the images themselves, or of the part that is shown.
        budget: Pixels the model sees.
    """

    pictures: tuple[Picture, ...]
    frames: tuple[Frame, ...]
    budget: PixelBudget

    def seen(self, image: int = 0) -> Frame:
        """Return the grid in which the model sees an image."""
        return self.frames[image].resized(*self.pictures[image].size)


@dataclass(frozen=True)
class Example:
    """A conversation to train on.

    Attributes:
        messages: Its turns; image blocks are filled from `pictures` in order.
        pictures: The images.
        truth: The boxes that the last answer states, on the image's own grid; None where it is words.
        tools: Function schemas for the chat template, or None.
        areas: The boxes with points or polygons that the last answer states, on the image's own grid; None where it states none.
    """

    messages: list[Message]
    pictures: tuple[Picture, ...]
    truth: Objects | None = None
    tools: list[dict[str, Any]] | None = None
    areas: tuple[PointObject, ...] | None = None

    @classmethod
    def of(cls, question: Question, answer: str, shown: Shown, truth: Objects | None = None) -> Example:
        """Return one question about all images, with its answer."""
        turns = question.messages([None] * len(shown.pictures), shown.seen() if shown.frames else None)
        return cls([*turns, answer_turn(answer)], shown.pictures, truth)


@dataclass(frozen=True)
class Answered:
    """A sample that was answered, to be measured.

    Attributes:
        reply: What the model wrote.
        expected: The true answer's text.
        truth: The true boxes on the image's own grid, or None.
        seen: The grid in which the model saw the image, or None without boxes and areas.
        areas: The true boxes with points or polygons on the image's own grid, or None.
    """

    reply: str
    expected: str
    truth: Objects | None = None
    seen: Frame | None = None
    areas: tuple[PointObject, ...] | None = None


class Task(ABC):
    """One task: what a record needs, what is asked and answered, how results are measured and written as rows.

    A task is one file of this package with a line in `rscovlm.records.names`; everything that renders, asks, measures,
    predicts or serves finds it through `rscovlm.tasks.table`.
    """

    name: ClassVar[str]
    """What users call it: ``predict --task``, ``rscovlm.task`` of a request."""
    wants: ClassVar[tuple[str, ...]] = ()
    """Fields of `Wanted` that must be given to ask about an image; a server reads them from the user's words."""
    may: ClassVar[tuple[str, ...]] = ()
    """Fields of `Wanted` that may be given too."""
    images: ClassVar[int] = 1
    """Images that one question is about."""
    tiled: ClassVar[bool] = False
    """Large images are read tile by tile: each is asked about by itself, and a journal may keep its finished tiles."""
    masked: ClassVar[bool] = False
    """Its rows hold ``masks``, COCO run lengths with a label each."""
    finds: ClassVar[bool] = False
    """Its rows hold ``objects`` in pixels of the image."""
    in_boxes: ClassVar[bool] = False
    """It may be asked for boxes as detection is, in which a segmenter draws."""
    looks: ClassVar[bool] = False
    """What is trained on shows the image and then a closer look at a region of it."""
    converses: ClassVar[bool] = False
    """A server gives it whole conversations with any number of images, and lets the model look closer."""
    dense: ClassVar[bool] = False
    """Its records list all objects of their categories in an image: it may be cut into tiles, each with the objects that lie in it."""
    boxed: ClassVar[bool] = False
    """What is true are boxes in pixels, which mean nothing without the image's size."""
    choosable: ClassVar[bool] = False
    """A question whose answer in words may stand among wrong ones to choose from."""
    reverse: ClassVar[str] = ""
    """Task of the same record asked the other way round, where there is one."""
    category: ClassVar[str] = "image-text-to-text"
    """What the Hub calls it."""
    pictured: ClassVar[bool] = True
    """A record without an image means nothing."""
    named: ClassVar[bool] = False
    """Its records name classes of a list that a source keeps to: another spelling is another class."""
    metric: ClassVar[str] = "accuracy"
    """Name of what `measure` gives first."""

    @abstractmethod
    def needs(self, record: Record) -> Iterable[tuple[bool, str]]:
        """Yield what a record of this task may lack: whether it does, and the reason it is counted by."""

    def example(self, record: Record, shown: Shown, draw: Draw) -> Example:
        """Return a conversation to train on.

        Raises:
            Rejected: The record has no form as text.
        """
        raise Rejected("no text form", f"record {record.id!r}: a {record.task} record has no form as text yet")

    def one_way(self, record: Record, shown: Shown, draw: Draw) -> Example:
        """Render as `example` does, and never the other way round, where a task has one."""
        return self.example(record, shown, draw)

    def asks(self, record: Record, dialect: Dialect) -> Question:
        """Return what inference asks about a record, in the plainest wording.

        Raises:
            ValueError: The task is only trained.
        """
        raise ValueError(f"task {self.name!r} is trained but not asked by itself; leave its records out")

    def asks_in(self, record: Record, dialect: Dialect, kind: Kind | None) -> Question:
        """Return what `asks` does, for an answer in boxes of a kind where the task has boxes.

        Raises:
            ValueError: The task is only trained, or the dialect has no words for such boxes.
        """
        return self.asks(record, dialect)

    def turns(self, record: Record) -> tuple[Turn, ...] | None:
        """Return a record as it is worded before any dialect; None where only rendering gives it words."""
        return None

    def truth(self, record: Record, size: tuple[int, int]) -> dict[str, Any]:
        """Return what is true as plain JSON values, boxes in original pixels: by default the answer and what there is to choose from.

        Args:
            record: The record.
            size: Width and height of its first image.
        """
        return {"answer": record.answer, **({"choices": list(record.choices)} if record.choices else {})}

    def outlines(self, record: Record) -> bool:
        """Tell whether the answer about a record is an area, which `outline` gives; the default is no."""
        return False

    def outline(self, engine: Any, asked: Iterable[tuple[Record, Sequence[Any]]], **options: Any) -> Iterator[Any]:
        """Yield the masks of what each record means, with the `frame`, `texts` and `problems` of the answer.

        Args:
            engine: Who answers.
            asked: Each record with its images, opened.
            options: ``batch`` and ``max_new_tokens``.

        Raises:
            ValueError: The task outlines nothing, or an image cannot be read.
        """
        raise ValueError(f"task {self.name!r} outlines nothing; leave its records out")

    def places(self, wanted: Wanted) -> bool:
        """Tell whether coordinates are written or read for what is wanted; the default is no.

        A task that says yes is refused where nobody knows how the model at a server writes them.
        """
        return False

    def check(self, engine: Any, wanted: Wanted) -> None:
        """Refuse what an engine cannot be asked, before anything is.

        Raises:
            ValueError: Coordinates are needed and it is not known how the model writes them; the message says what to give.
        """
        if self.places(wanted):
            check_stated(engine, self.name)

    def rows(self, engine: Any, rasters: Sequence[Any], wanted: Sequence[Wanted], journal: Any = None) -> list[Row]:
        """Ask about some images and return a row of plain JSON values each.

        Raises:
            ValueError: An image cannot be read, or the task is only trained.
        """
        raise ValueError(
            f"task {self.name!r} is trained but not asked by itself; ask a question about the image instead"
        )

    def serve(self, engine: Any, rasters: Sequence[Any], wanted: Wanted) -> Served:
        """Answer a client of a server about the images of one question; by default with its row.

        Raises:
            ValueError: An image cannot be read, or the task is only trained.
        """
        (row,) = self.rows(engine, rasters, [wanted])
        return Served.of(row)

    def measure(self, answered: Sequence[Answered], dialect: Dialect) -> Mapping[str, float]:
        """Return figures by name, as fractions; by default how many answers equal the true ones."""
        from rscovlm.metrics import answer_accuracy

        right = answer_accuracy([one.reply for one in answered], [one.expected for one in answered])
        return {"accuracy": float(right["accuracy"])}


def shown_names(classes: Iterable[str]) -> list[str]:
    """Return class names as prompts give them: spoken, once each, in alphabetical order.

    >>> shown_names(["storage-tank", "Plane", "plane"])
    ['plane', 'storage tank']
    """
    return sorted({spoken(name) for name in classes} - {""})
