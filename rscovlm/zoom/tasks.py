"""One function a task: ground, classify, answer, caption, count; what they find is in pixels of the original image."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from PIL import Image

from rscovlm.codec.categories import Matcher, spoken
from rscovlm.codec.grammar import choice_grammar
from rscovlm.codec.prompts import caption_prompt, classification_prompt, counting_prompt, grounding_prompt, referent
from rscovlm.codec.writing import Style
from rscovlm.engines.engine import Conversation, Finish, Reply, check_engine, replies
from rscovlm.geometry import Boxes, Objects
from rscovlm.geometry.kinds import Kind
from rscovlm.metrics.texts import number_in
from rscovlm.rasters import Raster, open_image
from rscovlm.zoom.chain import ZoomChain
from rscovlm.zoom.detection import detect
from rscovlm.zoom.windows import ZoomView, show
from rscovlm.zoom.words import check_names

if TYPE_CHECKING:
    from rscovlm.codec.grammar import Grammar
    from rscovlm.engines.engine import Engine
    from rscovlm.zoom.detections import Detections
    from rscovlm.zoom.result import ZoomResult


@dataclass(frozen=True)
class Grounded:
    """Where a referring expression points.

    Attributes:
        expression: What was asked for.
        objects: What the model pointed at, in pixels of the original image; the label is the expression.
        text: The answer as the model wrote it.
        none: The model says that there is nothing of the kind.
        problems: Counts by reason of what could not be read; ``cut_off`` when the answer met the token limit,
            ``repeat`` when the repeat guard ended it.
    """

    expression: str
    objects: Objects
    text: str
    none: bool
    problems: dict[str, int] = field(default_factory=dict)

    @property
    def box(self) -> Boxes | None:
        """The first box, which is the answer to an expression that means one object; ``None`` where there is none."""
        return self.objects.boxes[:1] if len(self.objects) else None


@dataclass(frozen=True)
class Said:
    """An answer in words.

    Attributes:
        text: What the model wrote, without space at its ends.
        label: For classification among given classes: the class it means, or ``None``; else ``None``.
        finish: How the answer ended.
        tokens: Generated tokens.
        seconds: The engine's time.
    """

    text: str
    label: str | None = None
    finish: Finish = "stop"
    tokens: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Counted:
    """How many objects there are.

    Attributes:
        counts: Number of each class; ``None`` where the model's words hold no number.
        texts: What the model wrote for each class, where it was asked in words.
        detections: The objects counted, where they were detected.
    """

    counts: dict[str, int | None]
    texts: dict[str, str] = field(default_factory=dict)
    detections: Detections | None = None


def ground(
    engine: Engine,
    image: Any,
    expressions: Iterable[str],
    *,
    kind: Kind = "hbb",
    style: Style = "plain",
    constrained: bool = False,
    max_new_tokens: int = 256,
) -> list[Grounded]:
    """Point at what each expression describes, all expressions as one batch.

    Args:
        engine: Who answers.
        image: Whatever ``open_image`` takes; a large one is shown as the budget allows.
        expressions: Referring expressions such as ``"the red-roofed hangar"``.
        kind: Box kind to ask for.
        style: ``"plain"`` lines or ``"json"``.
        constrained: Hold the model to the codec's grammar, so that every answer can be read.
        max_new_tokens: Limit of an answer.

    Returns:
        One :class:`Grounded` an expression, boxes in original pixels on the image's frame (with map coordinates where
        the file has them).

    Raises:
        ValueError: An expression is empty, or the image cannot be read.
        TypeError: One string instead of a list.
    """
    if isinstance(expressions, str):
        raise TypeError(f"expressions is the string {expressions!r}; give a list of expressions")
    wanted = check_names(expressions, "expression")
    prompts = [grounding_prompt(expression, kind, style) for expression in wanted]
    raster = open_image(image)
    view = _overview(raster, engine)
    grammars: list[Grammar | None] = [None] * len(prompts)
    if constrained:
        largest = max(view.frame.width, view.frame.height)
        labels = [[referent(expression)] for expression in wanted]
        grammars = [engine.codec.grammar(kind=kind, style=style, categories=one, largest=largest) for one in labels]
    asked = [_asked(view, *prompt, grammar) for prompt, grammar in zip(prompts, grammars, strict=True)]
    answers = replies(engine, asked, max_new_tokens=max_new_tokens)
    return [
        _grounded(engine, expression, reply, raster, view, kind)
        for expression, reply in zip(wanted, answers, strict=True)
    ]


def classify(
    engine: Engine,
    images: Iterable[Any],
    classes: Iterable[str] | None = None,
    *,
    offer: bool = True,
    cutoff: float | None = None,
    constrained: bool = False,
    batch: int = 16,
    max_new_tokens: int = 32,
) -> list[Said]:
    """Name the kind of scene of each image.

    Args:
        engine: Who answers.
        images: What ``open_image`` takes, any number; ``batch`` of them are held at a time.
        classes: The classes there are: :attr:`Said.label` is the one that the answer means. ``None`` asks openly.
        offer: Tell the model the classes; False asks openly and only matches the answer.
        cutoff: Least similarity, in (0, 1], at which an answer means the closest class; ``None`` for never.
        constrained: Hold the model to one of the classes.
        batch: Images read and asked about at a time.
        max_new_tokens: Limit of an answer.

    Raises:
        ValueError: There is no class in the list, nothing to be held to, or an image cannot be read.
    """
    names = classes if classes is None or isinstance(classes, str) else check_names(classes, "class")
    question = classification_prompt(names if offer else None)
    if names is None:
        if constrained:
            raise ValueError("constrained is true without classes to choose from; give classes too")
        return list(_in_words(engine, images, question, batch, max_new_tokens))
    grammar = choice_grammar([spoken(name) for name in names]) if constrained else None
    match = Matcher(names, cutoff)
    said = []
    for one in _in_words(engine, images, question, batch, max_new_tokens, grammar):
        label, problem = match(one.text.rstrip("."))
        known = label if problem != "unknown_label" else None
        said.append(Said(one.text, known, one.finish, one.tokens, one.seconds))
    return said


def caption(engine: Engine, images: Iterable[Any], *, batch: int = 16, max_new_tokens: int = 512) -> list[Said]:
    """Describe each image.

    Args:
        engine: Who answers.
        images: What ``open_image`` takes, any number; ``batch`` of them are held at a time.
        batch: Images read and asked about at a time.
        max_new_tokens: Limit of an answer.

    Raises:
        ValueError: An image cannot be read.
    """
    return list(_in_words(engine, images, caption_prompt(), batch, max_new_tokens))


def answer(
    engine: Engine, image: Any, questions: Sequence[str], *, zoom: bool = True, **options: Any
) -> list[ZoomResult]:
    """Answer questions about one image, looking closer where the model asks to; all questions go in batches.

    Args:
        engine: Who answers.
        image: Whatever ``open_image`` takes, or a list of those for questions about several images.
        questions: The questions.
        zoom: False answers from the overview.
        options: Further settings of :class:`~rscovlm.zoom.ZoomChain`.

    Raises:
        ValueError: An image cannot be read, or an option has no meaning.
        TypeError: One string instead of a list.
    """
    if isinstance(questions, str):
        raise TypeError(f"questions is the string {questions!r}; give a list of questions")
    opened = [open_image(one) for one in image] if isinstance(image, (list, tuple)) else open_image(image)
    return ZoomChain(engine, **options).ask_many(((opened, question) for question in questions), zoom=zoom)


def count(
    engine: Engine,
    image: Any,
    classes: Iterable[str],
    *,
    how: Literal["boxes", "words"] = "boxes",
    max_new_tokens: int | None = None,
    **options: Any,
) -> Counted:
    """Count objects of some classes.

    Args:
        engine: Who answers.
        image: Whatever ``open_image`` takes.
        classes: Class names.
        how: ``"boxes"`` detects, tile by tile on a large image, and counts what it found, so that every one counted can
            be looked at; ``"words"`` asks how many there are, once a class, about the image as a whole.
        max_new_tokens: Limit of an answer.
        options: Further settings of :func:`~rscovlm.zoom.detect`.

    Raises:
        ValueError: No class, another ``how``, options with ``"words"``, or an image that cannot be read.
    """
    names = [] if isinstance(classes, str) else check_names(classes, "class")
    if how not in ("boxes", "words") or not names:
        raise ValueError(f"how is {how!r} and classes {classes!r}; give 'boxes' or 'words', and a list of class names")
    if how == "boxes":
        detections = detect(engine, image, names, max_new_tokens=max_new_tokens or 4096, **options)
        found = detections.counts()
        return Counted({name: found[name] for name in names}, detections=detections)
    if options:
        raise ValueError(f"how='words' takes no {', '.join(sorted(options))}; these are settings of detection")
    view = _overview(open_image(image), engine)
    asked = [_asked(view, None, counting_prompt(name)) for name in names]
    answers = replies(engine, asked, max_new_tokens=max_new_tokens or 32)
    texts = {name: reply.text.strip() for name, reply in zip(names, answers, strict=True)}
    return Counted({name: whole_number_in(text) for name, text in texts.items()}, texts=texts)


def whole_number_in(text: str) -> int | None:
    """Return the number of objects that an answer names first, in digits or in words; ``None`` where it is none.

    >>> whole_number_in("There are three."), whole_number_in("1,234 ships"), whole_number_in("many"), whole_number_in("-2")
    (3, 1234, None, None)
    """
    number = number_in(text)
    return int(number) if number is not None and 0 <= number < 1e15 and number == int(number) else None


def _in_words(
    engine: Engine,
    images: Iterable[Any],
    question: str,
    batch: int,
    max_new_tokens: int,
    grammar: Grammar | None = None,
) -> Iterator[Said]:
    """Ask the same question about each image, some images at a time."""
    if isinstance(images, (str, bytes, PathLike, Image.Image, np.ndarray, Raster)):
        raise ValueError(f"images is one {type(images).__name__}; give a list of images, such as [image]")
    waiting = iter(images)
    while some := list(islice(waiting, max(1, batch))):
        asked = [_asked(_overview(open_image(image), engine), None, question, grammar) for image in some]
        for reply in replies(engine, asked, max_new_tokens=max_new_tokens):
            yield Said(reply.text.strip(), None, reply.finish, reply.tokens, reply.seconds)


def _overview(raster: Raster, engine: Engine) -> ZoomView:
    """Return the image as the model sees it at once: as large as the budget allows."""
    check_engine(engine)
    view = show(raster, None, 0, engine.budget, sys.maxsize)
    if view is None:
        raise ValueError(f"{raster.path} of {raster.width}x{raster.height} pixels cannot be shown; raise max_pixels")
    return view


def _asked(view: ZoomView, system: str | None, text: str, grammar: Grammar | None = None) -> Conversation:
    user = {"role": "user", "content": [{"type": "image", "image": view.image}, {"type": "text", "text": text}]}
    return Conversation([user] if system is None else [{"role": "system", "content": system}, user], grammar=grammar)


def _grounded(engine: Engine, expression: str, reply: Reply, raster: Raster, view: ZoomView, kind: Kind) -> Grounded:
    decoded = engine.codec.decode(reply.text, view.frame, kind=kind)
    found = Objects(decoded.objects.boxes.to(raster.frame).clipped(), (expression,) * len(decoded.objects))
    solid = found.boxes.area() > 0
    problems = dict(decoded.problems)
    ended = {"length": "cut_off", "repeat": "repeat"}.get(reply.finish, "")
    for reason, number in (("no_area", int((~solid).sum())), (ended, int(bool(ended)))):
        if number:
            problems[reason] = number
    return Grounded(expression, found[solid], reply.text, decoded.none, problems)
