"""Answers about many images, one row each, that survive being killed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from rscovlm.geometry import Boxes, Frame, Objects
from rscovlm.geometry.kinds import Kind
from rscovlm.rasters import Raster, open_image, to_geojson
from rscovlm.rasters.geojson import write_text
from rscovlm.serving.items import Item
from rscovlm.zoom import ZoomChain, caption, classify, detect, ground
from rscovlm.zoom.journal import Journal
from rscovlm.zoom.words import check_words

if TYPE_CHECKING:
    from rscovlm.engines import Engine

Task = Literal["ask", "detect", "ground", "classify", "caption"]
Row = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """What is asked about every image that has nothing of its own.

    Attributes:
        task: ``"ask"``, ``"detect"``, ``"ground"``, ``"classify"`` or ``"caption"``.
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

    task: Task
    question: str | None = None
    expressions: tuple[str, ...] | None = None
    classes: tuple[str, ...] | None = None
    kind: Kind | None = None
    zoom: bool = True
    tile: int | None = None
    model: str = ""
    constrained: bool = False

    def __post_init__(self) -> None:
        if self.task not in get_args(Task):
            raise ValueError(f"task is {self.task!r}; choose one of {', '.join(get_args(Task))}")

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
        needed = {"ask": "question", "detect": "classes", "ground": "expressions"}.get(self.task)
        if needed and not getattr(own, needed):
            raise ValueError(f"{item.id!r} has no {needed} to {self.task} about; give some for all, or in the manifest")
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


def object_rows(objects: Objects) -> list[Row]:
    """Return objects as plain JSON values: ``label``, ``box``, ``kind`` and, where there is one, ``score``."""
    kind = objects.boxes.kind
    rows: list[Row] = [
        {"label": label, "kind": kind, "box": [round(float(value), 2) for value in box]}
        for label, box in zip(objects.labels, objects.boxes.coords, strict=True)
    ]
    if objects.scores is not None:
        for row, score in zip(rows, objects.scores, strict=True):
            row["score"] = float(score)
    return rows


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
    first = asked[0]
    if first.task == "ask":
        pairs = [(raster, one.question or "") for raster, one in zip(rasters, asked, strict=True)]
        return [_zoomed(result) for result in ZoomChain(engine).ask_many(pairs, zoom=first.zoom)]
    if first.task == "caption":
        return [{"caption": said.text, "finish": said.finish} for said in caption(engine, rasters)]
    if first.task == "classify":
        return [_classified(engine, raster, one) for raster, one in zip(rasters, asked, strict=True)]
    if first.task == "ground":
        return [_grounded(engine, raster, one) for raster, one in zip(rasters, asked, strict=True)]
    tiles = _tiles_of(out, items[0])
    return [_detected(engine, raster, one, tiles) for raster, one in zip(rasters, asked, strict=True)]


def _zoomed(result: Any) -> Row:
    return {
        "question": result.question,
        "answer": result.answer,
        "stopped": result.stopped,
        "windows": [list(window) for window in result.windows],
        "tokens": result.tokens,
        "problems": dict(result.problems),
    }


def _classified(engine: Engine, raster: Raster, asked: Asked) -> Row:
    (said,) = classify(engine, [raster], asked.classes, constrained=asked.constrained and bool(asked.classes))
    return {"label": said.label if asked.classes else said.text, "text": said.text}


def _grounded(engine: Engine, raster: Raster, asked: Asked) -> Row:
    answers = ground(engine, raster, asked.expressions or (), kind=asked.kind or "hbb", constrained=asked.constrained)
    objects = Objects.concatenate([one.objects for one in answers])
    none = [one.expression for one in answers if not len(one.objects)]
    return {"objects": object_rows(objects), "not_found": none, "frame": _frame(raster.frame)}


def _detected(engine: Engine, raster: Raster, asked: Asked, tiles: Path) -> Row:
    found = detect(
        engine,
        raster,
        asked.classes or (),
        kind=asked.kind or "quad",
        tile=asked.tile,
        constrained=asked.constrained,
        journal=tiles,
    )
    about = {"tiles": len(found.tiles), "merged": found.merged, "problems": dict(found.problems)}
    return {"objects": object_rows(found.objects), **about, "frame": _frame(raster.frame)}


def _frame(frame: Frame) -> Row:
    return {"width": frame.width, "height": frame.height, "to_world": frame.root_to_world, "crs": frame.crs}


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
