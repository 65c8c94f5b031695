"""The text interface between boxes and a model, exact both ways."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeVar, get_args

import numpy as np

from rscovlm.codec import patterns
from rscovlm.codec.categories import Matcher, ranks
from rscovlm.codec.decoded import Decoded
from rscovlm.codec.found_objects import KINDS as KIND_OF_COUNT
from rscovlm.codec.found_objects import LARGEST, Found
from rscovlm.codec.grammar import Grammar, box_numbers, json_grammar, plain_grammar
from rscovlm.codec.reading import read
from rscovlm.codec.spaces import SCALES, SpaceName, limits, pixels_per_unit, quantise, restore, written
from rscovlm.codec.writing import STYLES, Style, json_list, plain_lines
from rscovlm.geometry import Boxes, Frame, Objects
from rscovlm.geometry.frame import checked_frame
from rscovlm.geometry.kinds import Kind

T = TypeVar("T")
_KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Codec:
    """How objects are written as text, and read back.

    A codec is a coordinate space and the names of things in JSON; box kind and style are chosen per answer. Coordinates
    are those of the image the model sees: its resized grid in pixels, or that grid counted from 0 to 1000, 100 or 1.

    Attributes:
        name: What the codec is called.
        space: ``"pixels"``, ``"0-1000"``, ``"0-100"`` or ``"0-1"``.
        decimals: Digits after the point; ``"0-1"`` needs at least one. Angles are whole degrees always.
        kind: Box kind where a call names none.
        style: ``"plain"`` or ``"json"``, where a call names none.
        hbb_key: Name of horizontal boxes in JSON.
        obb_key: Name of oriented boxes in JSON.
        quad_key: Name of quadrilaterals in JSON.
        label_key: Name of labels in JSON.
        none: The answer where there is nothing.

    Raises:
        ValueError: For an unknown space, kind or style, decimals that do not fit the space, or an empty name or key.

    >>> codec, grid = Codec.preset("rscovlm-v1"), Frame(504, 504)
    >>> planes = Objects(Boxes([[10.2, 20, 30, 60], [5, 5, 8.6, 9]], "hbb", grid), ("plane", "plane"))
    >>> codec.encode(planes, grid, kind="hbb")
    '5,5,9,9 plane\\n10,20,30,60 plane\\n'
    >>> codec.decode("Here:\\n5,5,9,9 plane\\n10,20,30", grid).problems
    {'truncated': 1}
    """

    name: str
    space: SpaceName = "pixels"
    decimals: int = 0
    kind: Kind = "quad"
    style: Style = "plain"
    hbb_key: str = "bbox_2d"
    obb_key: str = "oriented bbox"
    quad_key: str = "quadrant bbox"
    label_key: str = "label"
    none: str = "There are none."

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name != "decimals" and (not isinstance(value, str) or not value):
                raise ValueError(f"codec {field.name} is {value!r}; give a non-empty string")
        _choose("space", self.space, tuple(SCALES))
        _choose("kind", self.kind, _KINDS)
        _choose("style", self.style, STYLES)
        if not isinstance(self.decimals, int) or isinstance(self.decimals, bool) or not 0 <= self.decimals <= 6:
            raise ValueError(f"codec decimals is {self.decimals!r}; give an integer from 0 to 6")
        if self.space == "0-1" and self.decimals == 0:
            raise ValueError("codec space '0-1' needs decimals from 1 up; give 3 for thousandths")

    @classmethod
    def preset(cls, name: str) -> Codec:
        """Return a codec by name.

        ``rscovlm-v1`` is the grammar of the RSCoVLM reference checkpoints, ``qwen2.5-vl`` and ``qwen3-vl`` what those
        models were trained on: a fenced JSON list of ``bbox_2d`` and ``label``, in pixels of the resized image and in
        thousandths of it (https://github.com/QwenLM/Qwen3-VL, cookbooks).

        Raises:
            ValueError: For an unknown name.
        """
        if name not in _PRESETS:
            raise ValueError(f"codec preset is {name!r}; choose one of {', '.join(map(repr, _PRESETS))}")
        return _PRESETS[name]

    def to_dict(self) -> dict[str, Any]:
        """Return the codec as plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Codec:
        """Return the codec that `to_dict` gave.

        Raises:
            ValueError: For an unknown or missing field, or a value the codec does not allow.
        """
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown or "name" not in values:
            wrong = f"unknown {unknown}" if unknown else "no 'name'"
            raise ValueError(f"codec settings have {wrong}; the fields are {sorted(known)}")
        return cls(**values)

    def encode(
        self,
        objects: Objects,
        frame: Frame,
        *,
        kind: Kind | None = None,
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
            kind: Box kind to write, `self.kind` if None.
            style: ``"plain"`` or ``"json"``, `self.style` if None.
            categories: All names that may occur, in any order; None orders by the labels there are.

        Returns:
            Lines ``x1,y1,x2,y2 label`` each ending in a newline, a fenced JSON list, or `self.none` for no objects.

        Raises:
            ValueError: When a label is none of the categories, is empty, or (plain style) has a line break, a space at
                an end or the beginning of another object in it; when the boxes have no frame.
        """
        form: Kind = _choose("kind", self.kind if kind is None else kind, _KINDS)
        lines: Style = _choose("style", self.style if style is None else style, STYLES)
        checked_frame(frame)
        if not len(objects):
            return self.none
        places = ranks(objects.labels, categories)
        boxes = objects.boxes if objects.boxes.kind == form else objects.boxes.as_kind("quad")
        whole = quantise(boxes.to(frame).as_kind(form), self.space, self.decimals, frame)
        seen = restore(whole, form, self.space, self.decimals, frame).as_kind("hbb")
        corner = quantise(seen, self.space, self.decimals, frame)[:, 1::-1].tolist()
        keys = zip(places, corner, whole.tolist(), objects.labels, strict=True)
        order = [row for _, row in sorted((key, row) for row, key in enumerate(keys))]
        rows = written(whole[order], form, self.decimals)
        labels = [objects.labels[row] for row in order]
        if lines == "plain":
            return plain_lines(rows, labels)
        return json_list(rows, labels, self._box_keys[form], self.label_key)

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
        whole object is kept; what could not be read, and what was mended, is counted by reason
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
            _choose("kind", kind, _KINDS)
        if cutoff is not None and categories is None:
            raise ValueError(f"cutoff is {cutoff} without categories to match; give categories too")
        match = None if categories is None else Matcher(categories, cutoff)
        haul = read(text, self.label_key, tuple(self._box_keys.values()))
        found, problems = haul.found, haul.problems
        labels = [one.label if match is None else _matched(one.label, match, problems) for one in found]
        boxes = self._boxes(found, frame, kind, problems)
        none = not found and not sum(problems.values()) and self._says_none(text)
        if not found and not sum(problems.values()) and not none:
            problems["nothing_readable"] += 1
        spans = tuple((one.start, one.end) for one in found)
        counted = {reason: count for reason, count in sorted(problems.items()) if count}
        return Decoded(Objects(boxes, tuple(labels)), counted, none, spans)

    def grammar(
        self,
        *,
        kind: Kind | None = None,
        style: Style | None = None,
        categories: Sequence[str] | None = None,
        largest: int = 99_999,
    ) -> Grammar:
        """Return what answers look like, for decoding that leaves none unreadable (`rscovlm.engines`).

        Args:
            kind: Box kind, `self.kind` if None.
            style: ``"plain"`` or ``"json"``, `self.style` if None.
            categories: Labels that may be written; None for any short name.
            largest: Longest side of the grids the model sees, where it writes pixels; bounds the digits.

        Raises:
            ValueError: For an unknown kind or style, categories that cannot be told from the grammar around them, or
                `largest` below 1.
        """
        form: Kind = _choose("kind", self.kind if kind is None else kind, _KINDS)
        lines: Style = _choose("style", self.style if style is None else style, STYLES)
        if largest < 1:
            raise ValueError(f"largest is {largest}; give the longest side in pixels")
        scale = SCALES[self.space]
        numbers, values = box_numbers(form, largest if scale is None else scale, self.decimals)
        if lines == "plain":
            return plain_grammar(numbers, self.none, categories)
        return json_grammar(numbers, values, self.none, categories, (self._box_keys[form], self.label_key))

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
        return [int(side) for side in quantise(corners.to(frame).as_kind("hbb"), self.space, 0, frame)[0]]

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
        return Boxes(sides * pixels_per_unit(self.space, "hbb", frame), "hbb", frame)

    @property
    def _box_keys(self) -> dict[Kind, str]:
        return {"hbb": self.hbb_key, "obb": self.obb_key, "quad": self.quad_key}

    def _says_none(self, text: str) -> bool:
        said = text.strip().strip(".").lower()
        return (
            said == self.none.strip().strip(".").lower()
            or patterns.NONE.search(text) is not None
            or patterns.EMPTY_LIST.fullmatch(text) is not None
        )

    def _boxes(self, found: Sequence[Found], frame: Frame, wanted: Kind | None, problems: Counter[str]) -> Boxes:
        """Return what was found as boxes of one kind, in order."""
        kinds: list[Kind] = [KIND_OF_COUNT[len(one.numbers)] for one in found]
        if wanted is None:
            wanted = kinds[0] if kinds else self.kind
        parts: list[Boxes] = []
        places: list[int] = []
        for kind in dict.fromkeys(kinds):
            rows = [row for row, own in enumerate(kinds) if own == kind]
            parts.append(self._of_kind([found[row].numbers for row in rows], kind, frame, problems))
            places += rows
            if kind != wanted:
                problems["converted"] += len(rows)
        if not parts:
            return Boxes.empty(wanted, frame)
        boxes = [part.as_kind(wanted) for part in parts]
        return boxes[0] if len(boxes) == 1 else Boxes.concatenate(boxes)[np.argsort(places)]

    def _of_kind(self, numbers: list[list[float]], kind: Kind, frame: Frame, problems: Counter[str]) -> Boxes:
        """Return boxes of one kind, counting what is odd about their numbers."""
        values = np.array(numbers)
        if kind == "hbb":
            low, high = np.minimum(values[:, :2], values[:, 2:]), np.maximum(values[:, :2], values[:, 2:])
            problems["inverted"] += int((low != values[:, :2]).any(axis=1).sum())
            values = np.concatenate([low, high], axis=1)
        placed = values[:, :2] if kind == "obb" else values
        beyond = (placed < 0) | (placed > limits(self.space, kind, frame)[: placed.shape[1]])
        problems["outside"] += int(beyond.any(axis=1).sum())
        return Boxes(values * pixels_per_unit(self.space, kind, frame), kind, frame)


def _matched(label: str, match: Matcher, problems: Counter[str]) -> str:
    if not label:
        return label
    label, problem = match(label)
    if problem is not None:
        problems[problem] += 1
    return label


def _choose(name: str, value: T, choices: Sequence[T]) -> T:
    if value not in choices:
        raise ValueError(f"{name} is {value!r}; choose one of {', '.join(map(repr, choices))}")
    return value


_PRESETS = {
    codec.name: codec
    for codec in (
        Codec("rscovlm-v1"),
        Codec("qwen2.5-vl", kind="hbb", style="json"),
        Codec("qwen3-vl", space="0-1000", kind="hbb", style="json"),
    )
}
