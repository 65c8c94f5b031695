"""Writing objects as the answer a model is trained to give."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Literal, TypeAlias

from rscovlm.codec import patterns

Style: TypeAlias = Literal["plain", "json", "tagged"]
STYLES: tuple[Style, ...] = ("plain", "json")
"""Styles that need no templates of tags."""


def plain_lines(rows: Sequence[Sequence[str]], labels: Sequence[str]) -> str:
    """Return one line an object: numbers joined by commas, a space, the label; each line ends with a newline.

    Raises:
        ValueError: When a label could not be read back from a line.
    """
    for row, label in enumerate(labels):
        why = not_plain(label, len(rows[row]))
        if why is not None:
            raise ValueError(f"label {row} is {label!r}, which {why}; change the label or write style='json'")
    return "".join(f"{','.join(row)} {label}\n" for row, label in zip(rows, labels, strict=True))


def json_list(rows: Sequence[Sequence[str]], labels: Sequence[str], box_key: str, label_key: str) -> str:
    """Return a fenced JSON list with one object a line, indented by a tab.

    Raises:
        ValueError: When a label is empty or cannot be written as UTF-8.
    """
    for row, label in enumerate(labels):
        why = not_a_label(label)
        if why is not None:
            raise ValueError(f"label {row} is {label!r}, which {why}; change the label")
    box_name, label_name = json.dumps(box_key, ensure_ascii=False), json.dumps(label_key, ensure_ascii=False)
    objects = (
        f"{{{box_name}: [{', '.join(row)}], {label_name}: {json.dumps(label, ensure_ascii=False)}}}"
        for row, label in zip(rows, labels, strict=True)
    )
    return "```json\n[\n\t" + ",\n\t".join(objects) + "\n]\n```"


def not_a_label(label: str) -> str | None:
    """Return why a text can be no label, ``None`` where it can."""
    if not label:
        return "is empty"
    try:
        label.encode()
    except UnicodeEncodeError:
        return "cannot be written as UTF-8"
    return None


def not_plain(label: str, count: int) -> str | None:
    """Return why a label cannot stand on a plain line after `count` numbers, ``None`` where it can."""
    why = not_a_label(label)
    if why is not None:
        return why
    if label != label.strip() or len(label.splitlines()) != 1:
        return "has a line break, or a space at an end"
    if patterns.LABEL_STOP.search(label):
        return "holds the beginning of another object or a fence"
    if count in patterns.CONTINUED and patterns.CONTINUED[count].match(label):
        return "reads as more coordinates"
    return None
