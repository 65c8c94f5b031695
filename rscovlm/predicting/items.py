"""What is to be predicted: images from files, folders and manifests."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rscovlm.rasters.formats import PICTURE_ENDINGS
from rscovlm.records.paths import within

_KNOWN = frozenset({"id", "image", "images", "question", "expressions", "classes"})


@dataclass(frozen=True)
class Item:
    """One image and what is asked about it.

    Attributes:
        id: Unique in a run.
        image: The file.
        question: Question, where this item has one of its own.
        expressions: Referring expressions of its own.
        classes: Classes of its own.
        further: Other images that the question is about too, in order of time.
    """

    id: str
    image: Path
    question: str | None = None
    expressions: tuple[str, ...] | None = None
    classes: tuple[str, ...] | None = None
    further: tuple[Path, ...] = ()

    @property
    def images(self) -> tuple[Path, ...]:
        """All images of the item."""
        return (self.image, *self.further)


def find_items(sources: Iterable[Path]) -> list[Item]:
    """Return the items of image files, folders (searched in depth, in order of names) and ``.jsonl`` manifests.

    A manifest has one JSON object a line: ``image`` (in or below the manifest's folder), or ``images`` where a question is about
    several, and optionally ``id``, ``question``, ``expressions`` and ``classes``.

    Raises:
        ValueError: Nothing was found, a path is missing, a manifest's line is not of this form or leaves its folder, or an id is used twice.
    """
    items: dict[str, Item] = {}
    for source in sources:
        for item in _items(source):
            if item.id in items:
                raise ValueError(
                    f"id {item.id!r} is used twice ({items[item.id].image} and {item.image}); "
                    "give each its own in a manifest"
                )
            items[item.id] = item
    if not items:
        raise ValueError("no image was found; give image files, folders with images, or a .jsonl manifest")
    return list(items.values())


def _items(source: Path) -> Iterator[Item]:
    if source.is_dir():
        for path in sorted(source.rglob("*")):
            if path.suffix.lower() in PICTURE_ENDINGS and path.is_file():
                yield Item(path.relative_to(source).as_posix(), path)
    elif not source.exists():
        raise ValueError(f"{source} does not exist; check the path")
    elif source.suffix.lower() == ".jsonl":
        with source.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield _row(line, f"{source}, line {number}", source.parent)
    else:
        yield Item(source.name, source)


def _row(line: str, where: str, folder: Path) -> Item:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where}: is not JSON: {error}") from error
    listed = row.get("images") if isinstance(row, Mapping) else None
    if isinstance(listed, list) and listed and "image" not in row and all(isinstance(name, str) for name in listed):
        row = {**row, "image": listed[0], "images": listed[1:]}
    if not isinstance(row, Mapping) or not isinstance(row.get("image"), str):
        raise ValueError(f"{where}: has no 'image'; give one JSON object a line with the path of an image")
    unknown = sorted(set(row) - _KNOWN)
    if unknown:
        raise ValueError(f"{where}: has unknown fields {unknown}; the fields are {sorted(_KNOWN)}")
    for name in ("id", "question"):
        if not isinstance(row.get(name, ""), str):
            raise ValueError(f"{where}: {name} is {row[name]!r}; give a string")
    try:
        image, *further = (within(folder, name) for name in (row["image"], *(row.get("images") or ())))
    except ValueError as error:
        raise ValueError(f"{where}: {error}; a manifest names images in or below its own folder") from error
    return Item(
        row.get("id", row["image"]),
        image,
        row.get("question"),
        _names(row, "expressions", where),
        _names(row, "classes", where),
        tuple(further),
    )


def _names(row: Mapping[str, Any], field: str, where: str) -> tuple[str, ...] | None:
    value = row.get(field)
    if value is None:
        return None
    if not isinstance(value, list) or not value or not all(isinstance(name, str) for name in value):
        raise ValueError(f"{where}: {field} is {value!r}; give a list of strings")
    return tuple(value)
