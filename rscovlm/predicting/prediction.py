"""Answers about many images, one row each, that survive being killed."""

from __future__ import annotations

import glob
import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from rscovlm.codec.control_tokens import check_words
from rscovlm.engines.engine import dialect_of
from rscovlm.engines.probe import BudgetMismatch
from rscovlm.geometry.kinds import Kind
from rscovlm.points.loading import load_segmenter
from rscovlm.predicting.identity import checkpoint_of
from rscovlm.predicting.items import Item
from rscovlm.predicting.latest_rows import PREDICTIONS
from rscovlm.rasters import open_image
from rscovlm.rasters.digests import content
from rscovlm.rasters.raster import STRETCHES
from rscovlm.tasks.served import truncated_answers
from rscovlm.tasks.table import asked_tasks, task_named
from rscovlm.tasks.tile_journal import TILES
from rscovlm.tasks.wanted import AnswerForm, DetectionMode, Wanted
from rscovlm.zoom.journal import Journal, is_journal, read_rows
from rscovlm.zoom.policies import NAMES

if TYPE_CHECKING:
    from rscovlm.engines import Engine

Row = dict[str, Any]

_LATER = ("max_new_tokens", "form", "refine")
"""Fields that rows of before do not know."""
_KEPT = frozenset({"error", "asked", "content"})

DIFFERENT = "another task, model, question or settings"


@dataclass(frozen=True)
class DefaultQuestion:
    """What is asked about every image that has nothing of its own.

    Attributes:
        task: Name of a task of `rscovlm.tasks` that is asked about images.
        question: For asking.
        expressions: For grounding.
        classes: For detection; for classification the classes to choose from, if any.
        kind: Box kind; by default that of the task.
        zoom: Whether the model may look closer.
        tile: Side of a detection tile in original pixels; by default the largest shown without shrinking.
        model: Name or folder of the model, kept so that results of two models never mix.
        constrained: Hold answers with boxes, and classes to choose from, to their grammar, so that each can be read.
        overlap: What detection tiles share, as for :func:`~rscovlm.tasks.detect.detect`.
        mode: ``"max"`` enlarges detection tiles to the budget's limit.
        opening: Arguments of ``open_image`` for every image, such as ``bands``.
        revision: Of a model on the Hub.
        policy: Who decides where to look closer: a name of `rscovlm.zoom.policies`.
        segmenter: SAM 2 checkpoint that draws the masks of segmentation; empty for filled boxes.
        max_new_tokens: Generated tokens of one answer at most; None for the task's own limit.
        tiled: Read PNG and JPEG through a tiled copy, see ``open_image``; no answer depends on it.
        form: What segmentation is answered with; None for a box and points.
        refine: How often masks are drawn again; None for never.

    Raises:
        ValueError: There is no such task, mode, policy or form, the overlap is not smaller than the tile, or the limit is below 1.
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
    overlap: float | None = None
    mode: DetectionMode = "native"
    opening: Mapping[str, Any] = field(default_factory=dict)
    revision: str | None = None
    policy: str = "call"
    segmenter: str = ""
    max_new_tokens: int | None = None
    tiled: bool = False
    form: AnswerForm | None = None
    refine: int | None = None

    def __post_init__(self) -> None:
        if self.task not in asked_tasks():
            raise ValueError(f"task is {self.task!r}; choose one of {', '.join(asked_tasks())}")
        if self.mode not in get_args(DetectionMode):
            raise ValueError(f"mode is {self.mode!r}; choose one of {', '.join(get_args(DetectionMode))}")
        if self.form not in (None, *get_args(AnswerForm)):
            raise ValueError(f"form is {self.form!r}; choose one of {', '.join(get_args(AnswerForm))}")
        if self.kind not in (None, *get_args(Kind)):
            raise ValueError(f"kind is {self.kind!r}; choose one of {', '.join(get_args(Kind))}")
        stretch = self.opening.get("stretch", "auto")
        if isinstance(stretch, str) and stretch not in STRETCHES:
            raise ValueError(f"stretch is {stretch!r}; choose one of {', '.join(STRETCHES)}")
        if self.policy not in NAMES:
            raise ValueError(f"policy is {self.policy!r}; choose one of {', '.join(NAMES)}")
        if self.tile and self.overlap is not None and self.overlap >= self.tile:
            raise ValueError(f"overlap is {self.overlap:g} and the tile {self.tile} pixels; give a smaller overlap")
        if self.max_new_tokens is not None and self.max_new_tokens < 1:
            raise ValueError(f"max_new_tokens is {self.max_new_tokens}; give 1 or more, or None for the task's own")

    @property
    def said(self) -> Row:
        """The fields by name that answers depend on; without a limit or form that is not set, so that rows written before still count."""
        unset = {name for name in _LATER if getattr(self, name) is None}
        return {name: value for name, value in vars(self).items() if name not in {"tiled", *unset}}

    @property
    def digest(self) -> str:
        """Twelve characters that differ where anything asked differs; who is asked does not count."""
        about = {name: value for name, value in self.said.items() if name not in ("model", "revision")}
        text = json.dumps(about, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def wanted(self) -> Wanted:
        """What the task is given."""
        return Wanted(
            question=self.question,
            expressions=self.expressions,
            classes=self.classes,
            kind=self.kind,
            zoom=self.zoom,
            policy=self.policy,
            tile=self.tile,
            overlap=self.overlap,
            mode=self.mode,
            constrained=self.constrained,
            max_new_tokens=self.max_new_tokens,
            segmenter=load_segmenter(self.segmenter),
            form=self.form,
            refine=self.refine or 0,
        )

    def of(self, item: Item) -> DefaultQuestion:
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
        number = task_named(self.task).images
        if len(item.images) != number:
            raise ValueError(
                f"{item.id!r} has {len(item.images)} images and {self.task} is about {number}; name them as images of a line of a "
                "manifest"
            )
        for words in (own.question or "", *(own.expressions or ()), *(own.classes or ())):
            check_words(words, f"what is asked about {item.id!r}")
        return own


def predict(
    engine: Engine,
    items: Sequence[Item],
    asked: DefaultQuestion,
    out: Path,
    *,
    batch: int = 16,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, int]:
    """Answer about every item and append one JSON row each to ``out``, after a header line.

    An item is left alone when the row that counts, its last one, answers the same question about the same image: the
    bytes of the file and of what lies beside it are compared. Otherwise it is asked anew, and the new row counts.

    A row is on the disk before the next batch begins; after a kill, the same call resumes where the last whole row
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
        Counts: ``done`` now, ``before`` (had a row), ``errors``; and where there are any, of those done, ``changed`` that had
        a row about something else, and ``truncated`` that have an answer which met the limit of generated tokens.

    Raises:
        ValueError: An item has nothing to be asked; or ``out`` is another file, is being written by another process, or
            was made with another task, model or settings; or a server shows its model other images than planned; or the task needs coordinates and it is not known how the model
            writes them.
    """
    wanted = {item.id: asked.of(item) for item in items}
    for one in wanted.values():
        task_named(one.task).check(engine, one.wanted)
    with Journal(out, settings(engine, asked), kind=PREDICTIONS, what=DIFFERENT) as journal:
        # Of a row only what tells whether it is asked again is kept: with all objects, 100,000 rows take gigabytes.
        rows_before = {row["id"]: {name: row[name] for name in _KEPT & row.keys()} for row in journal}
        left = [item for item in items if not _answers(rows_before.get(item.id), item, wanted[item.id])]
        if _tiles_of(out):  # a killed run left some; otherwise images are read when their turn comes
            _remove_tiles(out, keep={_Head(out, item, wanted[item.id]).tiles for item in left})
        counts = {"done": 0, "before": len(items) - len(left), "errors": 0}
        changed = sum("error" not in rows_before.get(item.id, {"error": ""}) for item in left)
        truncated = 0
        step = 1 if task_named(asked.task).tiled else max(1, batch)
        for start in range(0, len(left), step):
            chunk = left[start : start + step]
            heads = {item.id: _Head(out, item, wanted[item.id]) for item in chunk}
            rows = _rows(engine, chunk, wanted, heads)
            journal.append({**heads[item.id].row, **row} for item, row in zip(chunk, rows, strict=True))
            for item in chunk:
                heads[item.id].tiles.unlink(missing_ok=True)
            counts["errors"] += sum("error" in row for row in rows)
            truncated += sum(truncated_answers(row) > 0 for row in rows)
            counts["done"] += len(rows)
            if progress is not None:
                progress(counts["before"] + counts["done"], len(items))
    return counts | {name: number for name, number in (("changed", changed), ("truncated", truncated)) if number}


def settings(engine: Engine, asked: DefaultQuestion) -> Row:
    """Return what all rows of a file depend on; it stands in the file's header."""
    # A checkpoint's folder is known by what is in it, wherever it lies.
    named = replace(asked, model="") if asked.model and Path(asked.model).is_dir() else asked
    return {
        **json.loads(json.dumps(named.said, default=str)),
        "checkpoint": checkpoint_of(engine, asked.model),
        "dtype": str(getattr(getattr(engine, "model", None), "dtype", "")),
        "dialect": dialect_of(engine).to_dict(),
        "budget": asdict(engine.budget),
    }


def check_out(out: Path) -> None:
    """Refuse, before anything is loaded, a path at which rows cannot be written; nothing is changed.

    Raises:
        ValueError: The path holds something else than rows of `predict`.
    """
    if os.path.lexists(out):
        next(read_rows(out, kind=PREDICTIONS), None)


class _Head:
    """What a row begins with, and where the finished tiles of its image wait until the image is done."""

    def __init__(self, out: Path, item: Item, asked: DefaultQuestion) -> None:
        try:
            seen = _content(item)
        except OSError:  # the row will say so
            seen = None
        self.row: Row = {
            "id": item.id,
            "image": str(item.image),
            **({"images": [str(image) for image in item.images]} if item.further else {}),
            "task": asked.task,
            "asked": asked.digest,
            "content": seen,
        }
        name = hashlib.sha256(json.dumps([item.id, asked.digest, seen]).encode()).hexdigest()[:16]
        self.tiles = out.with_name(f".{out.name}.{name}.tiles")


def _answers(row: Row | None, item: Item, asked: DefaultQuestion) -> bool:
    """Tell whether a row is the answer to what is asked about an item, on the image as it is now."""
    if row is None or "error" in row or row.get("asked") != asked.digest:
        return False
    try:
        return bool(row.get("content") == _content(item))
    except OSError:
        return False


def _tiles_of(out: Path) -> list[Path]:
    """Return the files of finished tiles beside a file of rows."""
    return [path for path in out.parent.glob(f".{glob.escape(out.name)}.*.tiles") if is_journal(path, kind=TILES)]


def _content(item: Item) -> str | None:
    """Return what the images of an item are known by."""
    seen = [content(image) for image in item.images]
    return seen[0] if len(seen) == 1 else hashlib.sha256(json.dumps(seen).encode()).hexdigest()


def _remove_tiles(out: Path, *, keep: set[Path]) -> None:
    """Remove finished tiles that a killed run left and that no image of this run resumes from."""
    for path in _tiles_of(out):
        if path not in keep:
            path.unlink(missing_ok=True)


def _rows(
    engine: Engine, items: Sequence[Item], wanted: Mapping[str, DefaultQuestion], heads: Mapping[str, _Head]
) -> list[Row]:
    """Return one row an item; where a batch meets an image that cannot be read, each is asked by itself."""
    try:
        tiles = heads[items[0].id].tiles
        return _answered(engine, items, [wanted[item.id] for item in items], tiles)
    except BudgetMismatch:  # nothing that a row could say: each answer would be wrong
        raise
    except (ValueError, OSError) as error:
        if len(items) > 1:
            return [row for item in items for row in _rows(engine, [item], wanted, heads)]
        return [{"error": str(error)}]


def _answered(engine: Engine, items: Sequence[Item], asked: Sequence[DefaultQuestion], tiles: Path) -> list[Row]:
    opening = {**asked[0].opening, "tiled": asked[0].tiled}
    rasters = [open_image(image, **opening) for item in items for image in item.images]
    return task_named(asked[0].task).rows(engine, rasters, [one.wanted for one in asked], tiles)
