"""Small data sets written to the published layouts."""

from __future__ import annotations

import copy
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from rscovlm.data.sources import convert
from rscovlm.records.record import Record
from rscovlm.records.tally import Tally

POISON: tuple[Any, ...] = (
    None,
    5,
    -1.5,
    float("inf"),
    10**400,
    "",
    "x",
    "\ud800",
    [],
    [[]],
    [None],
    {},
    {"x": None},
    True,
)
"""JSON values that a field does not expect, each put in the place of each value."""


def encoded(width: int, height: int, kind: str = "png") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((height, width, 3), 90, np.uint8)).save(buffer, kind)
    return buffer.getvalue()


def picture(root: Path, name: str, width: int = 40, height: int = 30) -> str:
    """Write a picture in the format its ending says."""
    kinds = {"jpg": "jpeg", "tif": "tiff"}
    ending = name.rpartition(".")[2].lower()
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(width, height, kinds.get(ending, ending)))
    return name


def text(root: Path, name: str, content: Any) -> None:
    """Write text as it is, a list as JSON lines for `.jsonl`, anything else as JSON."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, str):
        path.write_text(content, encoding="utf-8")
    elif name.endswith(".jsonl"):
        path.write_text("\n".join(json.dumps(row) for row in content), encoding="utf-8")
    else:
        path.write_text(json.dumps(content), encoding="utf-8")


def chat(*texts: str) -> list[dict[str, str]]:
    """Write turns that alternate between human and gpt."""
    return [{"from": ("human", "gpt")[i % 2], "value": value} for i, value in enumerate(texts)]


def read(name: str, root: Path, split: str = "train", limit: float = 0.0) -> tuple[list[Record], Tally]:
    """Convert; every record must survive a trip through its JSON line, and counts must add up."""
    tally = Tally(limit)
    rows = list(convert(name, root, split, tally=tally))
    assert tally.kept == len(rows)
    assert tally.seen == tally.kept + sum(tally.dropped.values())
    for row in rows:
        assert Record.from_json(row.to_json()) == row
        assert row.source == name
        assert row.split == split
    assert len({row.id for row in rows}) == len(rows)
    return rows, tally


def poisoned(value: Any) -> Iterator[Any]:
    """Give copies of a JSON value with each part of it in turn replaced by each poison, or taken out."""
    for place in _places(value):
        for poison in POISON:
            spoilt = copy.deepcopy(value)
            inner = spoilt
            for key in place[:-1]:
                inner = inner[key]
            inner[place[-1]] = poison
            yield spoilt
        spoilt = copy.deepcopy(value)
        inner = spoilt
        for key in place[:-1]:
            inner = inner[key]
        del inner[place[-1]]
        yield spoilt


def _places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in entries:
        yield (*place, key)
        yield from _places(inner, (*place, key))
