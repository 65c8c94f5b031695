"""Answers about many images, one row each, that survive being killed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rscovlm.codec.control_tokens import check_words
from rscovlm.exports import to_geojson
from rscovlm.exports.geojson import write_text
from rscovlm.geometry import Boxes, Frame, Objects
from rscovlm.geometry.kinds import Kind
from rscovlm.predicting.items import Item
from rscovlm.rasters import open_image
from rscovlm.tasks.table import asked_tasks, task_named
from rscovlm.zoom.journal import Journal

if TYPE_CHECKING:
    from rscovlm.engines import Engine

Row = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """What is asked about every image that has nothing of its own.

    Attributes:
        task: Name of a task of `rscovlm.tasks` that is asked about images.
        question: For asking.
        expressions: For grounding.
        classes: For detection; for classification the classes to choose from, if any.
        kind: Box kind; by default that of the task.
        zoom: Whether the model may look closer.
        tile: Side of a detection tile in original pixels; by default the largest shown without shrinking.
        model: Name of the model, kept so that results of two models never mix.
        constrained: Hold answers with boxes, and classes to choose from, to their grammar, so that each can be read.

    Raises:
        ValueError: There is no such task.
    """

    task: str
    question: str | None = None
    expressions: tuple[str, ...] | None = None
    classes: tuple[str, ...] | None = None
    kind: Kind | None = None
    zoom: bool = True
    tile: int | None = None
    model: str = ""
    constrained: bool = False

    def __post_init__(self) -> None:
        if self.task not in asked_tasks():
            raise ValueError(f"task is {self.task!r}; choose one of {', '.join(asked_tasks())}")

    @property
    def digest(self) -> str:
        """Twelve characters that differ where anything asked differs."""
        text = json.dumps(vars(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def of(self, item: Item) -> Asked:
        """Return what is asked about an item.

        Raises:
            ValueError: Neither the item nor the run says what to ask, or it is nothing that may stand in a prompt.
        """
        own = replace(
            self,
            question=item.question or self.question,
            expressions=item.expressions or self.expressions,
            classes=item.classes or self.classes,
        )
        for needed in task_named(self.task).wants:
            if not getattr(own, needed):
                raise ValueError(
                    f"{item.id!r} has no {needed} to {self.task} about; give some for all, or in the manifest"
                )
        for words in (own.question or "", *(own.expressions or ()), *(own.classes or ())):
            check_words(words, f"what is asked about {item.id!r}")
        return own


def predict(
    engine: Engine,
    items: Sequence[Item],
    asked: Asked,
    out: Path,
    *,
    batch: int = 16,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, int]:
    """Answer about every item and append one JSON row each to ``out``; items that have a row are left alone.

    A row is on the disk before the next batch begins; after a kill, the same call goes on where the last whole row
    ends, on a large image at its last tile. An image that cannot be read gets a row with ``error`` and is tried again by
    the next call, whose row then counts.

    Args:
        engine: Who answers.
        items: What to answer about.
        asked: What is asked.
        out: JSONL file.
        batch: Items in one batch.
        progress: Called with (items done, items).

    Returns:
        Counts: ``done`` now, ``before`` (had a row), ``errors``.

    Raises:
        ValueError: An item has nothing to be asked, or ``out`` holds answers to something else.
    """
    wanted = {item.id: asked.of(item) for item in items}
    with Journal(out) as journal:
        finished = _finished(journal, asked.digest, out)
        left = [item for item in items if item.id not in finished]
        counts = {"done": 0, "before": len(items) - len(left), "errors": 0}
        step = 1 if asked.task == "detect" else max(1, batch)
        for start in range(0, len(left), step):
            chunk = left[start : start + step]
            rows = _rows(engine, chunk, wanted, out)
            head = {"task": asked.task, "asked": asked.digest}
            journal.append(
                {"id": item.id, "image": str(item.image), **head, **row} for item, row in zip(chunk, rows, strict=True)
            )
            _tiles_of(out, chunk[0]).unlink(missing_ok=True)
            counts["errors"] += sum("error" in row for row in rows)
            counts["done"] += len(rows)
            if progress is not None:
                progress(counts["before"] + counts["done"], len(items))
    return counts


def latest_rows(out: Path) -> dict[str, Row]:
    """Return the row that counts of each item."""
    with Journal(out) as journal:
        return {row["id"]: row for row in journal}


def write_geojson(rows: Mapping[str, Row], path: Path) -> tuple[int, int]:
    """Write the objects of all rows as one GeoJSON file.

    Where any image has a place on the ground, those without one are left out, since a file has one coordinate system;
    where none has, coordinates are pixels.

    Returns:
        Objects written, and images left out for want of a place.
    """
    found = {name: row for name, row in rows.items() if "objects" in row}
    placed = {name for name, row in found.items() if row["frame"]["to_world"] is not None}
    features: list[Any] = []
    members: dict[str, Any] = {"type": "FeatureCollection"}
    for name, row in found.items():
        if placed and name not in placed:
            continue
        objects = _objects(row)
        about = [{"image": name}] * len(objects)
        collection = to_geojson(objects, properties=about)
        features += collection.pop("features")
        members.update(collection)
    for number, feature in enumerate(features):
        feature["id"] = number
    write_text(path, json.dumps({**members, "features": features}, ensure_ascii=False, allow_nan=False))
    return len(features), len(found) - len(placed) if placed else 0


def _finished(journal: Journal, digest: str, out: Path) -> set[str]:
    finished: set[str] = set()
    for row in journal:
        if row.get("asked") != digest or not isinstance(row.get("id"), str):
            raise ValueError(f"{out} holds answers of another task, model or question; give another file")
        (finished.discard if "error" in row else finished.add)(row["id"])
    return finished


def _tiles_of(out: Path, item: Item) -> Path:
    """Return where the finished tiles of an image wait until the image is done."""
    return out.with_name(f".{out.name}.{hashlib.sha256(item.id.encode()).hexdigest()[:16]}.tiles")


def _rows(engine: Engine, items: Sequence[Item], wanted: Mapping[str, Asked], out: Path) -> list[Row]:
    """Return one row an item; where a batch meets an image that cannot be read, each is asked by itself."""
    try:
        return _answered(engine, items, [wanted[item.id] for item in items], out)
    except (ValueError, OSError) as error:
        if len(items) > 1:
            return [row for item in items for row in _rows(engine, [item], wanted, out)]
        return [{"error": str(error)}]


def _answered(engine: Engine, items: Sequence[Item], asked: Sequence[Asked], out: Path) -> list[Row]:
    rasters = [open_image(item.image) for item in items]
    return task_named(asked[0].task).rows(engine, rasters, asked, _tiles_of(out, items[0]))


def _objects(row: Row) -> Objects:
    """Return the objects of a row, on the frame of their image."""
    stated = row["frame"]
    world = stated["to_world"]
    frame = Frame(
        stated["width"], stated["height"], root_to_world=None if world is None else tuple(world), crs=stated["crs"]
    )
    found = row["objects"]
    if not found:
        return Objects.empty("hbb", frame)
    boxes = Boxes([one["box"] for one in found], found[0]["kind"], frame)
    scores = np.array([one["score"] for one in found]) if all("score" in one for one in found) else None
    return Objects(boxes, tuple(one["label"] for one in found), scores)
