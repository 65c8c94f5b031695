"""Tagged text: one template an object and a box, from which writing, reading and the grammar are made.

A template is text with fields in braces, as for `str.format`: ``"<box>[{boxes}]</box>"``, ``"<loc{y1:04d}>"``. Braces that
are text are doubled.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from string import Formatter
from typing import Literal, NamedTuple, TypeAlias, get_args

from rscovlm.codec.layouts import KIND_OF, BoxLayout
from rscovlm.geometry.kinds import Kind

BoxKind: TypeAlias = Literal["hbb", "obb", "quad", "point"]
"""What a dialect writes: a kind of box, or the point in the middle of one."""

BOX_KINDS: tuple[BoxKind, ...] = get_args(BoxKind)


class Field(NamedTuple):
    """A place in a template: what stands there, and with how many digits at least."""

    name: str
    digits: int


@dataclass(frozen=True)
class Tags:
    r"""How objects are written between tags.

    Attributes:
        label: Template of ``label``, such as ``"<ref>{label}</ref>"``; empty where answers name no class.
        boxes: Template around the ``boxes`` of one label.
        hbb: Template of a horizontal box, such as ``"[{x1}, {y1}, {x2}, {y2}]"``; its fields are those of
            `rscovlm.codec.layouts.BoxLayout`, in the order of the text. It may hold ``{label}``, where ``label`` is empty.
        obb: The same of an oriented box, as centre, size and angle or as corners and angle.
        quad: The same of a quadrilateral.
        point: The same of a point.
        joined: What stands between the boxes of one label; None where every box has a label of its own.
        between: What stands between objects.
        label_last: The label stands behind its boxes.
        special: Published tokenizers know these tags as special tokens, which decoders of servers do not choose.

    Raises:
        ValueError: A template has another field than it may have, or its numbers make up no box of its kind.

    >>> tags = Tags("<ref>{label}</ref>", "<box>[{boxes}]</box>", hbb="[{x1}, {y1}, {x2}, {y2}]", joined=", ")
    >>> tags.write("hbb", [["1", "2", "3", "4"], ["5", "6", "7", "8"]], ["ship", "ship"])
    '<ref>ship</ref><box>[[1, 2, 3, 4], [5, 6, 7, 8]]</box>'
    """

    label: str = ""
    boxes: str = "{boxes}"
    hbb: str = ""
    obb: str = ""
    quad: str = ""
    point: str = ""
    joined: str | None = None
    between: str = "\n"
    label_last: bool = False
    special: bool = False

    def __post_init__(self) -> None:
        if self.label_last and self.joined is not None:
            raise ValueError(
                "tags have label_last and joined; a label behind its boxes names one box, so leave joined out"
            )
        if self.label and [field.name for field in _fields(self.label)] != ["label"]:
            raise ValueError(f"tags label is {self.label!r}; give a template with {{label}} once, or leave it empty")
        if [field.name for field in _fields(self.boxes)] != ["boxes"]:
            raise ValueError(f"tags boxes is {self.boxes!r}; give a template with {{boxes}} once")
        if not self.kinds:
            raise ValueError("tags have no box; give a template for at least one of hbb, obb, quad and point")
        if (
            self.label
            and not self.label_last
            and not any(map(str.strip, (*_after_label(self.label), *self._openings())))
        ):
            raise ValueError(
                f"tags label is {self.label!r} and a number follows, so that the label has no end; write a sign between them"
            )
        for kind in self.kinds:
            form = self.layout(kind).form
            if (form == "point") != (kind == "point") or (kind != "point" and KIND_OF[form] != kind):
                raise ValueError(f"tags {kind} is {self.template(kind)!r}, whose numbers make up {form!r}")

    @property
    def kinds(self) -> tuple[BoxKind, ...]:
        """The kinds that have a template."""
        return tuple(kind for kind in BOX_KINDS if self.template(kind))

    @property
    def labelled(self) -> bool:
        """Whether answers name the class."""
        return bool(self.label) or any("label" in {f.name for f in _fields(self.template(kind))} for kind in self.kinds)

    def template(self, kind: BoxKind | Kind) -> str:
        """Return the template of a box, empty if there is none."""
        return {"hbb": self.hbb, "obb": self.obb, "quad": self.quad, "point": self.point}[kind]

    def layout(self, kind: BoxKind | Kind) -> BoxLayout:
        """Return what the numbers of a box are, in the order of its template."""
        return BoxLayout(tuple(field.name for field in _fields(self.template(kind)) if field.name != "label"))

    def unnamed(self, kind: BoxKind | Kind) -> bool:
        """Whether a box of a kind can be written without a class."""
        return bool(self.template(kind)) and "label" not in {field.name for field in _fields(self.template(kind))}

    def bare(self, kind: BoxKind | Kind, row: Sequence[str]) -> str:
        """Return one box without a class, as a sentence mentions it; ``row`` are its numbers in the order of the template."""
        return filled(self.boxes, self._box(kind, row, ""))

    def write(self, kind: BoxKind | Kind, rows: Sequence[Sequence[str]], labels: Sequence[str]) -> str:
        """Return objects as text; ``rows`` are their numbers in the order of the template.

        Raises:
            ValueError: A label could not be read back, or the text names no labels and there are several.
        """
        for row, label in enumerate(labels):
            why = self.not_tagged(label)
            if why is not None:
                raise ValueError(f"label {row} is {label!r}, which {why}; change the label")
        if not self.labelled and len(set(labels)) > 1:
            raise ValueError(
                f"answers of this dialect name no class and there are {sorted(set(labels))}; write one class"
            )
        texts = [self._box(kind, row, label) for row, label in zip(rows, labels, strict=True)]
        if self.joined is None:
            return self.between.join(self._object([text], label) for text, label in zip(texts, labels, strict=True))
        groups = groupby(zip(labels, texts, strict=True), key=lambda pair: pair[0])
        return self.between.join(self._object([text for _, text in pairs], label) for label, pairs in groups)

    def not_tagged(self, label: str) -> str | None:
        """Return why a label cannot stand between these tags, ``None`` where it can."""
        if not self.labelled:
            return None
        if not label or label != label.strip() or len(label.splitlines()) != 1:
            return "is empty, or has a line break or a space at an end"
        try:
            label.encode()
        except UnicodeEncodeError:
            return "cannot be written as UTF-8"
        ends = sorted(set(label) & self.stops)
        return f"holds {''.join(ends)!r}, where a tag begins or ends" if ends else None

    @property
    def stops(self) -> frozenset[str]:
        """Characters that no label holds, since reading would end there."""
        after = [text for template in (self.label, *map(self.template, self.kinds)) for text in _after_label(template)]
        if self.label_last or not self.label:
            after.append(self.between)
        elif not any(text.strip() for text in _after_label(self.label)):
            after += self._openings()
        return frozenset("<>\n\r") | {text.strip()[0] for text in after if text.strip()}

    def _openings(self) -> list[str]:
        """Return what stands before the first number of the boxes of a label, by kind."""
        return [_opening(self.boxes) + _opening(self.template(kind)) for kind in self.kinds]

    def _box(self, kind: BoxKind | Kind, row: Sequence[str], label: str) -> str:
        numbers = iter(row)
        return "".join(
            part if isinstance(part, str) else label if part.name == "label" else next(numbers).zfill(part.digits)
            for part in pieces(self.template(kind))
        )

    def _object(self, boxes: Sequence[str], label: str) -> str:
        body = filled(self.boxes, (self.joined or "").join(boxes))
        name = filled(self.label, label)
        return body + name if self.label_last else name + body


def filled(template: str, text: str) -> str:
    """Return a template with the same text in every field."""
    return "".join(part if isinstance(part, str) else text for part in pieces(template))


@cache
def pieces(template: str) -> tuple[str | Field, ...]:
    """Return the texts and fields of a template in order.

    Raises:
        ValueError: Braces do not match, or a field has no name or another form than ``04d``.

    >>> pieces("<loc{y1:04d}>")
    ('<loc', Field(name='y1', digits=4), '>')
    """
    found: list[str | Field] = []
    for text, name, form, conversion in Formatter().parse(template):
        if text:
            if found and isinstance(found[-1], str):
                found[-1] += text
            else:
                found.append(text)
        if name is None:
            continue
        digits = re.fullmatch(r"(?:0(\d)d)?", form or "")
        if not name.isidentifier() or conversion or digits is None:
            raise ValueError(
                f"template {template!r} has the field {name!r}; give a name, with digits as {{x1:04d}} at most"
            )
        found.append(Field(name, int(digits[1] or 0)))
    return tuple(found)


def _fields(template: str) -> list[Field]:
    return [part for part in pieces(template) if isinstance(part, Field)]


def _opening(template: str) -> str:
    """Return the text before the first field."""
    first = pieces(template)[:1]
    return first[0] if first and isinstance(first[0], str) else ""


def _after_label(template: str) -> Iterator[str]:
    parts = pieces(template)
    for part, following in zip(parts, (*parts[1:], ""), strict=False):
        if isinstance(part, Field) and part.name == "label" and isinstance(following, str):
            yield following
