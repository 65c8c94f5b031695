"""Asking a model about items, through the tasks alone; each answer becomes a row of plain values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rscovlm.benchmarks.controls import Control, with_images
from rscovlm.benchmarks.items import BenchmarkItem, truth_of
from rscovlm.benchmarks.suite import Asking
from rscovlm.codec.dialect import Dialect
from rscovlm.engines.engine import dialect_of, replies
from rscovlm.geometry import Boxes, Frame, Objects
from rscovlm.geometry.masks import Mask
from rscovlm.processing.resolution import PixelBudget
from rscovlm.rasters import Raster, open_image
from rscovlm.rasters.digests import content
from rscovlm.records import ImageRef, Record
from rscovlm.records.paths import resolve
from rscovlm.records.pictures import Picture
from rscovlm.records.views import load_image, open_ref
from rscovlm.tasks.answer import question as answer_question
from rscovlm.tasks.areas import true_areas
from rscovlm.tasks.boxes import object_rows
from rscovlm.tasks.detect_many import detect_many
from rscovlm.tasks.table import task_of
from rscovlm.tasks.task import Question, Shown
from rscovlm.tasks.wanted import Wanted
from rscovlm.tasks.words import overview
from rscovlm.zoom.chain import ZoomChain

if TYPE_CHECKING:
    from rscovlm.engines.engine import Engine
    from rscovlm.zoom.windows import ZoomView

Row = dict[str, Any]


def question_of(record: Record, dialect: Dialect, asking: Asking) -> Question:
    """Return what is asked about a record: the dialect's question of its task, or the data set's own.

    Raises:
        ValueError: Its task is not asked, or the dialect has no words for it.
    """
    if asking.as_published and record.question.strip():
        text = record.question.replace(asking.remove, "") if asking.remove else record.question
        return answer_question(dialect, text.strip() + asking.suffix, record.choices)
    return task_of(record.task).asks_in(record, dialect, asking.kind)


@dataclass
class Asker:
    """Asks one model in one way.

    Args:
        engine: Who answers.
        asking: How.
        control: What is shown instead of the image.
        images: For the shuffled control: the images of each item.
        batch: Items asked about at a time.
        confidence: Also keep how sure the model is of an answer in words, where the engine tells: the geometric mean of its tokens'
            probabilities.
    """

    engine: Engine
    asking: Asking
    control: Control = ""
    images: dict[str, tuple[ImageRef, ...]] = field(default_factory=dict)
    batch: int = 32
    confidence: bool = False
    _opened: dict[tuple[Path, ImageRef], Raster] = field(default_factory=dict, repr=False)
    _digests: dict[tuple[Path, str], str] = field(default_factory=dict, repr=False)

    def rows(self, items: Sequence[BenchmarkItem]) -> Iterator[Row]:
        """Yield a row for each item, batch by batch; an image that cannot be read makes a row with an ``error``.

        Raises:
            ValueError: Coordinates are needed and it is not known how the model at a server writes them.
        """
        for task in {item.record.task for item in items}:
            zooms = any(self._zooms(item) for item in items if item.record.task == task)
            task_of(task).check(self.engine, Wanted(zoom=zooms))
        for start in range(0, len(items), max(1, self.batch)):
            chunk = items[start : start + max(1, self.batch)]
            self._opened.clear()
            yield from self._chunk(chunk)

    def _chunk(self, items: Sequence[BenchmarkItem]) -> Iterator[Row]:
        shown: list[tuple[BenchmarkItem, list[Raster], Row]] = []
        for item in items:
            try:
                shown.append((item, *self._open(item)))
            except (ValueError, OSError, SyntaxError) as error:  # Pillow tells a broken PNG by a SyntaxError
                yield {"item": item.id, "image": item.image, "column": item.column, "error": str(error)}
        detections = [entry for entry in shown if task_of(entry[0].record.task).dense]
        masks = [entry for entry in shown if _is_outlined(entry[0].record)]
        others = [entry for entry in shown if not _is_located(entry[0].record)]
        zoomed = [entry for entry in others if self._zooms(entry[0])]
        once = [entry for entry in others if not self._zooms(entry[0])]
        stages = ((self._detect, detections), (self._outline, masks), (self._zoom, zoomed), (self._once, once))
        for ask, entries in stages:
            if entries:
                yield from ask(entries)

    def _zooms(self, item: BenchmarkItem) -> bool:
        if self.asking.looking == "once" or self.control == "no-image" or item.within in self.asking.direct:
            return False
        return item.record.extra.get("category", "").lower() not in self.asking.direct and (
            self.asking.looking == "chain" or bool(item.record.regions)
        )

    def _open(self, item: BenchmarkItem) -> tuple[list[Raster], Row]:
        """Return an item's images as they are shown, and how its row begins."""
        own = [self._raster(image, item.root) for image in item.record.images]
        size = (own[0].width, own[0].height) if own else (1, 1)
        images = own
        if self.control == "shuffled":
            moved = with_images(item, self.images[item.id]).record.images
            images = [self._raster(image, item.root) for image in moved]
        if self.control == "no-image" and _is_located(item.record):
            images = [open_image(Image.new("RGB", size, (127, 127, 127)))] * len(own)
        head: Row = {
            "item": item.id,
            "image": item.image,
            "pixels": self._digest(item),
            "size": list(size),
            "column": item.column,
            "within": item.within,
            "truth": truth_of(item, size),
        }
        return images, head

    def _raster(self, image: ImageRef, root: Path) -> Raster:
        key = (root, image)
        if key not in self._opened:
            part = image.window is not None and not image.path and image.data is None
            self._opened[key] = open_image(load_image(image, root)) if part else open_ref(image, root)
        return self._opened[key]

    def _digest(self, item: BenchmarkItem) -> str:
        """Return sixteen characters of a digest of the file of the first image; its name where there is no file."""
        image = item.record.images[0] if item.record.images else None
        name = "" if image is None or image.data is not None else image.path or image.parent
        if not name:
            return item.image
        key = (item.root, name)
        if key not in self._digests:
            self._digests[key] = content(resolve(item.root, name))[:16]
        return self._digests[key]

    def _once(self, entries: Iterable[tuple[BenchmarkItem, list[Raster], Row]]) -> Iterator[Row]:
        """Ask about overviews, all items as one batch."""
        dialect = dialect_of(self.engine)
        seen: dict[int, ZoomView] = {}
        asked, heads = [], []
        for item, rasters, head in entries:
            for raster in rasters:
                if id(raster) not in seen:
                    seen[id(raster)] = overview(raster, self.engine)
            question = question_of(item.record, dialect, self.asking)
            views = [seen[id(raster)] for raster in rasters]
            bare = self.control == "no-image"
            frame = views[0].frame if views else None
            asked.append(question.conversation([] if bare else [view.image for view in views], frame))
            about = {"system": question.system or "", "prompt": question.stated(frame)}
            heads.append({**head, **about, "seen": [frame.width, frame.height] if frame else None})
        options = {"logprobs": True} if self.confidence else {}
        answers = replies(self.engine, asked, max_new_tokens=self.asking.max_new_tokens, **options)
        for head, reply in zip(heads, answers, strict=True):
            row = {**head, "answer": reply.text, "finish": reply.finish, "tokens": reply.tokens}
            if self.confidence and reply.token_logprobs:
                row["confidence"] = round(float(np.exp(np.mean(reply.token_logprobs))), 6)
            yield row

    def _zoom(self, entries: Iterable[tuple[BenchmarkItem, list[Raster], Row]]) -> Iterator[Row]:
        """Ask with a closer look: the model's own, or at the true region."""
        entries = list(entries)
        dialect = dialect_of(self.engine)
        limits: dict[str, Any] = {"max_new_tokens": self.asking.max_new_tokens, "in_flight": max(1, self.batch)}
        zooming = ZoomChain(self.engine, policy=self.asking.policy, **limits)
        texts = [question_of(item.record, dialect, self.asking).user for item, _, _ in entries]
        pairs = [(rasters, text) for (_, rasters, _), text in zip(entries, texts, strict=True)]
        regions = None
        if self.asking.looking == "region":
            regions = [[tuple(region) for region in item.record.regions] for item, _, _ in entries]
        for number, result in zooming.ask_iter(pairs, regions=regions):
            about = {"answer": result.answer, "finish": result.stopped, "tokens": result.tokens}
            windows: Row = {"windows": [list(window) for window in result.windows], "problems": dict(result.problems)}
            if self.asking.policy != "call":
                windows |= {"calls": result.calls, "visual_tokens": result.visual_tokens}
            yield {**entries[number][2], "system": "", "prompt": texts[number], **about, **windows}

    def _detect(self, entries: Iterable[tuple[BenchmarkItem, list[Raster], Row]]) -> Iterator[Row]:
        """Detect on all images, their tiles in common batches."""
        entries, asking = list(entries), self.asking
        found = detect_many(
            self.engine,
            ((rasters[0], item.record.categories) for item, rasters, _ in entries),
            tile=asking.tile,
            overlap=None if asking.overlap is None else int(asking.overlap),
            mode=asking.mode,
            kind=asking.kind,
            batch=self.batch,
            max_new_tokens=asking.max_new_tokens,
        )
        dialect = dialect_of(self.engine)
        for (item, _, head), result in zip(entries, found, strict=True):
            question = question_of(item.record, dialect, asking)
            tiles = [{"window": list(one.window), "answer": one.text, "finish": one.finish} for one in result.tiles]
            objects = result.objects
            if self.control == "shuffled":  # on another image: what it says is taken at the same place of this one
                objects = _moved(objects, (result.frame.width, result.frame.height), head["size"])
            yield {
                **head,
                "system": question.system or "",
                "prompt": question.user,
                "objects": object_rows(objects),
                "tiles": tiles,
                "problems": dict(result.problems),
                "finish": "length" if result.problems["cut_off"] else "stop",
                "tokens": result.tokens,
            }

    def _outline(self, entries: Iterable[tuple[BenchmarkItem, list[Raster], Row]]) -> Iterator[Row]:
        """Outline what each item means, several at a time; the row holds the masks, the pixels they share, and those of either."""
        dialect, entries = dialect_of(self.engine), list(entries)
        by_task: dict[str, list[tuple[BenchmarkItem, list[Raster], Row]]] = {}
        for entry in entries:
            by_task.setdefault(entry[0].record.task, []).append(entry)
        options: dict[str, Any] = {"batch": self.batch, "max_new_tokens": self.asking.max_new_tokens}
        answers = (
            (entry, found)
            for task, some in by_task.items()
            for entry, found in zip(
                some,
                task_of(task).outline(self.engine, ((item.record, rasters) for item, rasters, _ in some), **options),
                strict=True,
            )
        )
        for (item, _, head), found in answers:
            question = task_of(item.record.task).asks(item.record, dialect)
            width, height = head["size"]
            true = _true_mask(item, (width, height), self.engine.budget)
            mine = np.zeros((found.frame.height, found.frame.width), bool)
            for mask in found.masks:
                mine |= mask.full()
            if mine.shape != true.shape:  # of another image: what it says is taken at the same place of this one
                rows = np.arange(height) * mine.shape[0] // height
                mine = mine[rows][:, np.arange(width) * mine.shape[1] // width]
            yield {
                **head,
                "truth": {"mask": Mask.of(true).rle()["counts"]},
                "system": question.system or "",
                "prompt": question.user,
                "answer": "\n".join(found.texts),
                "mask": Mask.of(mine).rle()["counts"],
                "finish": "length" if found.problems.get("cut_off") else "stop",
                "shared": int(np.count_nonzero(mine & true)),
                "union": int(np.count_nonzero(mine | true)),
                "true": int(np.count_nonzero(true)),
                "problems": found.problems,
                "unparsed": bool(found.problems) and not found.masks,
            }


def _is_outlined(record: Record) -> bool:
    """Tell whether the answer about a record is an area: of what is meant, or of what changed where no sentence tells it."""
    return task_of(record.task).outlines(record)


def _is_located(record: Record) -> bool:
    """Tell whether the answer about a record is read as places of the whole image, in windows where it is large."""
    return task_of(record.task).dense or _is_outlined(record)


def _true_mask(item: BenchmarkItem, size: tuple[int, int], budget: PixelBudget) -> NDArray[np.bool_]:
    """Return the (height, width) pixels of all that a record marks on its first image."""
    picture = Picture(item.record.images[0], item.root, size)
    shown = Shown((picture,), (Frame(*size),), budget)
    out = np.zeros((size[1], size[0]), bool)
    for area in true_areas(item.record, shown):
        out |= area.mask.full()
    return out


def _moved(objects: Objects, size: tuple[int, int], to: Sequence[int]) -> Objects:
    """Return objects of an image of one size at the same place of an image of another."""
    scale = [to[0] / size[0], to[1] / size[1]] * 4
    quads = objects.boxes.as_kind("quad").coords * scale
    frame = Frame(int(to[0]), int(to[1]))
    boxes = Boxes(quads, "quad", frame) if len(quads) else Boxes.empty("quad", frame)
    return Objects(boxes, objects.labels, objects.scores)
