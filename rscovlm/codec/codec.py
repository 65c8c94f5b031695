"""The text interface between boxes and a model, exact both ways."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cache, cached_property
from pathlib import Path
from typing import Any, TypeVar, cast, get_args

import numpy as np
from numpy.typing import NDArray

from rscovlm.codec import presets
from rscovlm.codec.categories import Matcher, ranks
from rscovlm.codec.decoded import Decoded
from rscovlm.codec.dialect_detection import DialectGuess, detect_dialect
from rscovlm.codec.found_objects import LARGEST, FoundObject
from rscovlm.codec.grammar import Grammar, box_numbers, json_grammar, plain_grammar, tagged_grammar
from rscovlm.codec.keys import KeyNames
from rscovlm.codec.layouts import KIND_OF, Form
from rscovlm.codec.mentions import mentions
from rscovlm.codec.none_answers import says_none
from rscovlm.codec.placing import boxes_of, points_of
from rscovlm.codec.reading import DialectReader
from rscovlm.codec.settings import Settings, choose
from rscovlm.codec.spaces import SpaceName, pixels, quantise, restore, spread, written
from rscovlm.codec.tags import BoxKind, Field, Tags, pieces
from rscovlm.codec.writing import Style, json_list, plain_lines
from rscovlm.geometry import Boxes, Frame, Objects
from rscovlm.geometry.frame import checked_frame
from rscovlm.geometry.kinds import Kind

T = TypeVar("T")
_KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Codec(Settings):
    """How objects are written as text, and read back.

    A codec is data (`Settings`): a coordinate space, the order of numbers, names in JSON and templates of tags. Coordinates
    are those of the image the model sees: its resized grid in pixels, or that grid counted in the units of a space.

    >>> codec, grid = Codec.preset("rscovlm-v1"), Frame(504, 504)
    >>> planes = Objects(Boxes([[10.2, 20, 30, 60], [5, 5, 8.6, 9]], "hbb", grid), ("plane", "plane"))
    >>> codec.encode(planes, grid, kind="hbb")
    '5,5,9,9 plane\\n10,20,30,60 plane\\n'
    >>> codec.decode("Here:\\n5,5,9,9 plane\\n10,20,30", grid).problems
    {'truncated': 1}
    >>> Codec.preset("paligemma").encode(planes[:1], grid)
    '<loc0040><loc0020><loc0121><loc0060> plane'
    """

    @classmethod
    def preset(cls, name: str) -> Codec:
        """Return the codec of a shipped dialect by name, or that of a YAML file by its path.

        ``rscovlm-v1`` is the grammar of the RSCoVLM reference checkpoints; the others are what the families of models
        they are called after publish: see the page on dialects.

        Raises:
            ValueError: For an unknown name, or a file that is no dialect.
        """
        return cls.from_file(name) if name.endswith((".yaml", ".yml")) else _shipped(name)

    @classmethod
    def from_file(cls, path: str | Path) -> Codec:
        """Return the codec of a dialect in a YAML file.

        Raises:
            ValueError: The file cannot be read, or its ``codec`` section is none.
        """
        return _of(presets.settings_from_file(path))

    @staticmethod
    def detect(texts: Iterable[str], frame: Frame | Sequence[Frame]) -> DialectGuess:
        """Return the dialect that a sample of answers is written in, with the evidence, or why the answers do not decide.

        Args:
            texts: Answers; a few dozen tell more than one.
            frame: Pixel grid that the model saw, or one for each answer.

        >>> Codec.detect(["<loc0097><loc0287><loc0148><loc0333> ship"], Frame(448, 448)).dialect
        'paligemma'
        >>> Codec.detect(['[{"bbox_2d": [9, 9, 20, 30], "label": "ship"}]'] * 9, Frame(1400, 1400)).candidates
        ('qwen2.5-vl', 'qwen3-vl')
        """
        return detect_dialect(texts, frame)

    def encode(
        self,
        objects: Objects,
        frame: Frame,
        *,
        kind: BoxKind | None = None,
        style: Style | None = None,
        categories: Sequence[str] | None = None,
    ) -> str:
        """Write objects as the answer a model should give.

        Coordinates are rounded to the nearest step and clipped to the grid, so that reading back moves none that lies
        inside by more than half a step; angles move by at most half a degree. Objects are ordered by category (the
        alphabetical order of names in lower case, hyphens as spaces), then by y1, then x1 of the horizontal box as
        written, whatever their order in `objects`; labels are written as they are.

        Args:
            objects: What to write; the boxes may lie on any frame of the same image.
            frame: Pixel grid the model sees.
            kind: Box kind to write, or ``"point"`` for the middle of each box; `self.kind` if None.
            style: ``"plain"``, ``"json"`` or ``"tagged"``, `self.style` if None.
            categories: All names that may occur, in any order; None orders by the labels there are.

        Returns:
            Lines ``x1,y1,x2,y2 label`` each ending in a newline, a fenced JSON list, tagged objects, or `self.none` for no
            objects.

        Raises:
            ValueError: When a label is none of the categories, is empty, or (plain and tagged styles) has a line break, a
                space at an end or the beginning of another object in it; when the boxes have no frame; for a kind or a
                style that the dialect does not know; for labels of several classes where its answers name none.
        """
        what, lines = self.chosen(kind, style)
        checked_frame(frame)
        if not len(objects):
            return self.none
        places = ranks(objects.labels, categories)
        order_written = self.layout(what, lines)
        form, space = order_written.form, self.space_of(what)
        whole = self._steps(objects.boxes, what, form, frame)
        seen = restore(whole, form, space, self.decimals, frame).as_kind("hbb")
        corner = quantise(seen.coords, "hbb", space, self.decimals, frame)[:, 1::-1].tolist()
        keys = zip(places, corner, whole.tolist(), objects.labels, strict=True)
        order = [row for _, row in sorted((key, row) for row, key in enumerate(keys))]
        rows = [order_written.written(row) for row in written(whole[order], form, self.decimals)]
        labels = [objects.labels[row] for row in order]
        if lines == "plain":
            return plain_lines(rows, labels)
        if lines == "json":
            return json_list(rows, labels, self.key(what), self.label_key)
        return cast(Tags, self.tags).write(what, rows, labels)

    def decode(
        self,
        text: str,
        frame: Frame,
        *,
        kind: Kind | None = None,
        categories: Sequence[str] | None = None,
        cutoff: float | None = None,
    ) -> Decoded:
        """Read objects out of whatever a model wrote; never raises on any text, in time linear in its length.

        Plain lines and JSON objects are found wherever they stand, in prose, in fences, before a truncated end. Every
        whole object is kept; what could not be read, and what was repaired, is counted by reason
        (`rscovlm.codec.problems`). Quadrilaterals are read clockwise and counter-clockwise from any corner. A plain line
        that the text ends in is kept with the label it has, since answers are often stripped of their last newline.

        Args:
            text: What the model wrote.
            frame: Pixel grid the model saw.
            kind: Box kind to return; None for that of the first object. Others are converted and counted.
            categories: Names that may occur. A label that differs in case, hyphens or spaces becomes the category as
                spelt here; any other is kept as it stands and counted.
            cutoff: Least similarity, in (0, 1], at which such a label becomes the closest category; None for never.

        Raises:
            ValueError: For an unknown kind, a cutoff out of range or without categories, or a text that is no string.
        """
        if not isinstance(text, str):
            raise ValueError(f"text is {type(text).__name__}; give the string a model wrote")
        checked_frame(frame)
        if kind is not None:
            choose("kind", kind, _KINDS)
        if cutoff is not None and categories is None:
            raise ValueError(f"cutoff is {cutoff} without categories to match; give categories too")
        match = None if categories is None else Matcher(categories, cutoff)
        if text.strip() == self.none.strip():
            empty: Kind = kind or (self.kind if self.kind != "point" else "hbb")
            return Decoded(Objects.empty(empty, frame), {}, none=True)
        read = self._reader.read(text)
        problems = read.problems
        found = [one for one in read.found if one.form != "point"]
        points = [one for one in read.found if one.form == "point"]
        # Answers that name no class are about the one that was asked for.
        asked = categories[0] if categories is not None and len(categories) == 1 and not self.labelled else ""
        labels, point_labels = (
            [one.label or asked if match is None else match.counted(one.label or asked, problems) for one in ones]
            for ones in (found, points)
        )
        wanted, default = kind, self.kind if self.kind != "point" else "hbb"
        boxes = boxes_of(found, [self._space(one) for one in found], frame, wanted, default, problems)
        if "point" not in self.kinds:
            problems["point"] += len(points)
        sets = points_of(points, [self._space(one) for one in points], frame, problems) if points else None
        none = not read.found and not sum(problems.values()) and says_none(text, self.none, self.tag_pattern)
        if not read.found and not sum(problems.values()) and not none:
            problems["nothing_readable"] += 1
        counted = {reason: count for reason, count in sorted(problems.items()) if count}
        spans = tuple((one.start, one.end) for one in found)
        return Decoded(Objects(boxes, tuple(labels)), counted, none, spans, sets, tuple(point_labels))

    def grammar(
        self,
        *,
        kind: BoxKind | None = None,
        style: Style | None = None,
        categories: Sequence[str] | None = None,
        largest: int = 99_999,
    ) -> Grammar:
        """Return what answers look like, for decoding that leaves none unreadable (`rscovlm.engines`).

        Args:
            kind: Box kind, `self.kind` if None.
            style: ``"plain"``, ``"json"`` or ``"tagged"``, `self.style` if None.
            categories: Labels that may be written; None for any short name.
            largest: Longest side of the grids the model sees, where it writes pixels; bounds the digits.

        Raises:
            ValueError: For an unknown kind or style, categories that cannot be separated from the grammar around them, or
                `largest` below 1.
        """
        what, lines = self.chosen(kind, style)
        if largest < 1:
            raise ValueError(f"largest is {largest}; give the longest side in pixels")
        template = () if lines != "tagged" or self.tags is None else pieces(self.tags.template(what))
        digits = [part.digits for part in template if isinstance(part, Field) and part.name != "label"]
        numbers, values = box_numbers(
            self.layout(what, lines),
            self.space_of(what),
            self.decimals,
            largest=largest,
            angle_from=self.angle_from,
            digits=digits,
        )
        if lines == "plain":
            return plain_grammar(numbers, self.none, categories)
        if lines == "json":
            return json_grammar(numbers, values, self.none, categories, (self.key(what), self.label_key))
        return tagged_grammar(cast(Tags, self.tags), what, numbers, self.none, categories)

    def regex(self, *, most: int | None = None, **choice: Any) -> str:
        """Return a regular expression of whole answers, such as every constrained decoder takes.

        Args:
            most: Objects at most; None for any number.
            choice: As for `grammar`.

        >>> import re
        >>> pattern = Codec.preset("rscovlm-v1").regex(kind="hbb", categories=["ship", "plane"])
        >>> [bool(re.fullmatch(pattern, text)) for text in ("5,5,9,9 ship\\n", "There are none.", "5,5,9 ship\\n")]
        [True, True, False]
        """
        return self.grammar(**choice).regex(most)

    def ebnf(self, *, most: int | None = None, **choice: Any) -> str:
        """Return the grammar in the EBNF of llama.cpp, which xgrammar (vLLM's default), SGLang and llguidance read.

        Args:
            most: Objects at most; None for any number.
            choice: As for `grammar`.

        >>> print(Codec.preset("qwen3-vl").ebnf(style="plain", categories=["ship"]))
        root ::= ("There are none." | (object)+)
        object ::= place "," place "," place "," place " " label "\\n"
        label ::= "ship"
        place ::= ("1000" | "0" | [1-9] [0-9]{0,2})
        <BLANKLINE>
        """
        return self.grammar(**choice).ebnf(most)

    def json_schema(self, *, most: int | None = None, **choice: Any) -> dict[str, Any]:
        """Return a JSON Schema of answers in JSON, as bare lists: a schema has no words for the fence of training.

        Args:
            most: Objects at most; None for any number.
            choice: As for `grammar`.

        Raises:
            ValueError: The style is plain.

        >>> Codec.preset("qwen3-vl").json_schema(categories=["ship"])["items"]["properties"]["label"]
        {'type': 'string', 'enum': ['ship']}
        """
        return self.grammar(**choice).json_schema(most)

    def mention(self, box: Boxes, frame: Frame) -> str:
        """Write one box as a sentence mentions it: between the dialect's own tags where these state their space, else in brackets.

        Args:
            box: One box. An oriented one keeps its rotation where the dialect knows such boxes, in its own kind if that is oriented.
            frame: Pixel grid the model sees.

        Raises:
            ValueError: When there is not exactly one box.

        >>> Codec.preset("qwen3-vl").mention(Boxes([[0, 0, 200, 50]], "hbb", Frame(400, 400)), Frame(400, 400))
        '[0, 0, 500, 125]'
        >>> Codec.preset("geochat").mention(Boxes([[200, 100, 80, 40, 30]], "obb", Frame(400, 400)), Frame(400, 400))
        '{<40><20><60><30>|<30>}'
        """
        if len(box) != 1:
            raise ValueError(f"there are {len(box)} boxes; give exactly one")
        oriented = [kind for kind in (self.kind, "quad", "obb") if kind in ("quad", "obb") and kind in self.kinds]
        what: BoxKind = oriented[0] if oriented and box.kind != "hbb" else "hbb"
        if self.style == "tagged" and self.tags is not None and self.tags.unnamed(what):
            order = self.layout(what)
            text = self.tags.bare(what, order.written(self._row(box, what, order.form, frame)))
            if [(one.end - one.start, one.space) for one in mentions(text)] == [(len(text), self.space_of(what))]:
                return text
        order = self.layout(what, "json")
        return f"[{', '.join(order.written(self._row(box, what, order.form, frame)))}]"

    def _row(self, box: Boxes, what: BoxKind, form: Form, frame: Frame) -> Sequence[str]:
        """Give the one box as the numbers that are written, in our own order."""
        return written(self._steps(box, what, form, frame), form, self.decimals)[0]

    def _steps(self, boxes: Boxes, what: BoxKind, form: Form, frame: Frame) -> NDArray[np.int64]:
        """Give boxes as the whole steps in which the dialect counts them."""
        own = KIND_OF[form]
        corners = boxes if boxes.kind == own else boxes.as_kind("quad")
        numbers = spread(corners.to(frame).as_kind(own), form, self.angle_from, frame)
        return quantise(numbers, form, self.space_of(what), self.decimals, frame)

    def encode_box(self, box: Boxes, frame: Frame) -> list[int]:
        """Return one box as the numbers of a tool's ``bbox`` argument.

        Args:
            box: One box of any kind, on any frame of the same image.
            frame: Pixel grid the model sees.

        Returns:
            x1, y1, x2, y2, rounded and clipped as `encode` does.

        Raises:
            ValueError: When there is not exactly one box, or the codec writes decimals, which tools do not take.

        >>> Codec.preset("qwen3-vl").encode_box(Boxes([[0, 0, 200, 50]], "hbb", Frame(400, 400)), Frame(400, 400))
        [0, 0, 500, 125]
        """
        if len(box) != 1:
            raise ValueError(f"there are {len(box)} boxes; give exactly one")
        if self.decimals:
            raise ValueError(f"codec {self.name!r} writes {self.decimals} decimals; tool arguments are whole numbers")
        corners = box if box.kind == "hbb" else box.as_kind("quad")
        sides = corners.to(frame).as_kind("hbb").coords
        return [int(side) for side in quantise(sides, "hbb", self.space, 0, frame)[0]]

    def decode_box(self, values: Sequence[float], frame: Frame) -> Boxes:
        """Return the horizontal box that a tool's ``bbox`` argument means.

        Args:
            values: x1, y1, x2, y2 as a model gave them. They may reach outside the grid.
            frame: Pixel grid the model saw.

        Returns:
            One box on `frame`.

        Raises:
            ValueError: When these are not four finite numbers, one is beyond a billion, or x2 < x1 or y2 < y1.
        """
        if isinstance(values, (str, bytes)) or not hasattr(values, "__len__") or len(values) != 4:
            raise ValueError(f"bbox is {values!r}; give four numbers x1, y1, x2, y2")
        for value in values:
            if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
                raise ValueError(f"bbox is {values!r}, where {value!r} is no number; give four numbers x1, y1, x2, y2")
            if not -LARGEST <= value <= LARGEST:
                raise ValueError(f"bbox is {values!r}, where {value!r} is no coordinate; give four finite numbers")
        sides = np.array([[float(value) for value in values]])
        return Boxes(pixels(sides, "hbb", self.space, frame), "hbb", frame)

    @cached_property
    def _reader(self) -> DialectReader:
        own = {self.key(kind): self.layout(kind, "json") for kind in self.kinds}
        own |= {self.key(kind): self.layout(kind, "json") for kind in _KINDS if self.key(kind) not in own}
        layouts = {len(self.layout(kind).names): self.layout(kind) for kind in self.kinds}
        foreign = tuple(pattern for pattern in presets.known_tags() if pattern.tags != self.tags)
        names = KeyNames(self.label_key, own, presets.known_keys())
        return DialectReader(names, (self.label_key, *own), layouts, self.labelled, self.tag_pattern, foreign)

    def _space(self, found: FoundObject) -> SpaceName:
        """Return the space that an object's numbers are counted in."""
        kind: BoxKind = "point" if found.form == "point" else KIND_OF[found.form]
        return found.space or self.space_of(kind)


@cache
def _shipped(name: str) -> Codec:
    return _of(presets.preset(name))


def _of(settings: Settings) -> Codec:
    return Codec(**{field.name: getattr(settings, field.name) for field in fields(Settings)})
