"""Dense detection on images of any size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from itertools import islice
from math import isfinite, isqrt
from numbers import Integral, Real
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rscovlm.codec.control_tokens import check_names
from rscovlm.codec.dialect import Dialect
from rscovlm.codec.writing import Style
from rscovlm.engines.engine import Conversation, Reply, check_engine, dialect_of, replies
from rscovlm.engines.unstated import check_stated
from rscovlm.geometry import Frame, Objects
from rscovlm.geometry.kinds import Kind
from rscovlm.geometry.tiling import count_tiles, tiles
from rscovlm.geometry.window import Window, WindowLike
from rscovlm.processing.resolution import PixelBudget, plan_size
from rscovlm.rasters import Raster, open_image
from rscovlm.records import Record
from rscovlm.records.views import boxes_of
from rscovlm.tasks.boxes import ask_boxes, found_and_true, frame_row, object_rows
from rscovlm.tasks.detections import Detections, TileStats, merged_detections
from rscovlm.tasks.merging import duplicates
from rscovlm.tasks.served import Served, lost_some, was_cut
from rscovlm.tasks.task import Answered, Draw, Example, Question, Row, Shown, Task, shown_names
from rscovlm.tasks.tile_journal import FinishedTiles
from rscovlm.tasks.wanted import DetectionMode, Wanted
from rscovlm.zoom.windows import planned_size, squeezed

if TYPE_CHECKING:
    from PIL import Image

    from rscovlm.engines.engine import Engine


def question(
    dialect: Dialect,
    classes: Iterable[str],
    **options: Any,
) -> Question:
    """Return what is asked to find every object of some classes.

    Args:
        dialect: Whose words and codec.
        classes: Class names; given spoken, once each, in alphabetical order.
        options: ``kind``, ``style``, ``pick`` and ``largest`` of `ask_boxes`.

    Raises:
        ValueError: There is no class, the dialect has no words for such a kind or style, or it names no class in its
            answers and there are several.
        TypeError: One string instead of a list.

    >>> question(Dialect.preset("rscovlm-v1"), ["storage-tank", "plane"]).user
    'find the plane, storage tank'
    """
    if isinstance(classes, str):
        raise TypeError(f"classes is the string {classes!r}; give a list of class names")
    names = shown_names(classes)
    if not names:
        raise ValueError("no class to find; give at least one class name")
    return ask_boxes(dialect, "detect", names, classes=names, **options)


class Detect(Task):
    """Every object of some classes."""

    name = "detect"
    finds = True
    named = True
    dense = True
    boxed = True
    category = "object-detection"
    wants = ("classes",)
    tiled = True
    metric = "ap_nc50"

    def needs(self, record: Record) -> Iterable[tuple[bool, str]]:
        """A record without objects is complete: it says that nothing is there."""
        yield not record.categories, "no categories"

    def example(self, record: Record, shown: Shown, draw: Draw) -> Example:
        """Ask for the categories, at times for some of them only, and answer with all their objects."""
        categories = sorted({*record.categories, *(item.label for item in record.objects)})
        rate = draw.options.sublist_rate
        if rate and len(categories) > 1 and draw.chance(rate):
            count = int(draw.rng.integers(1, len(categories)))
            categories = sorted(categories[place] for place in draw.rng.permutation(len(categories))[:count])
        names = {name: draw.name(name) for name in categories}
        kept = [item for item in record.objects if item.label in names]
        kind, style = draw.form(self.name)
        truth = Objects(boxes_of(kept, kind, shown.frames[0]), tuple(names[item.label] for item in kept))
        answer = draw.dialect.codec.encode(truth, shown.seen(), kind=kind, style=style, categories=list(names.values()))
        asked = question(draw.dialect, names.values(), kind=kind, style=style, pick=draw.pick)
        return Example.of(asked, answer, shown, truth)

    def asks(self, record: Record, dialect: Dialect) -> Question:
        """Ask for the categories."""
        return question(dialect, record.categories)

    def asks_in(self, record: Record, dialect: Dialect, kind: Kind | None) -> Question:
        """Ask for boxes of a kind."""
        return question(dialect, record.categories, kind=kind)

    def truth(self, record: Record, size: tuple[int, int]) -> dict[str, Any]:
        """All objects as quadrilaterals, to a hundredth of a pixel."""
        quads = boxes_of(record.objects, "quad", Frame(*size)).coords
        return {
            "boxes": [[round(float(value), 2) for value in box] for box in quads],
            "labels": [one.label for one in record.objects],
            "difficult": [int(one.difficult) for one in record.objects],
        }

    def measure(self, answered: Sequence[Answered], dialect: Dialect) -> Mapping[str, float]:
        """Measure AP_nc at IoU 0.5, objects as quadrilaterals in pixels of the original."""
        from rscovlm.metrics import ap_nc

        pairs = [found_and_true(one, dialect) for one in answered if one.truth is not None]
        found, true = zip(*((a.as_kind("quad"), b.as_kind("quad")) for a, b in pairs), strict=True)
        return {"ap_nc50": float(ap_nc(list(found), list(true), iou_thresholds=(0.5,))["ap_nc50"]["mean"])}

    def places(self, wanted: Wanted) -> bool:
        """The answer is read from boxes."""
        return True

    def serve(self, engine: Engine, rasters: Sequence[Raster], wanted: Wanted) -> Served:
        """Answer with the objects; where some were lost, none found is not the answer that there is none."""
        found = _found(engine, rasters[0], wanted)
        problems = dict(found.problems)
        extra = {"problems": problems, "tiles": len(found.tiles)}
        return Served("", was_cut(problems), found.objects, not lost_some(problems), extra)

    def rows(
        self, engine: Engine, rasters: Sequence[Raster], wanted: Sequence[Wanted], journal: Any = None
    ) -> list[Row]:
        """Detect tile by tile; a journal of finished tiles takes up one image."""
        return [self._row(engine, raster, one, journal) for raster, one in zip(rasters, wanted, strict=True)]

    def _row(self, engine: Engine, raster: Raster, wanted: Wanted, journal: Any) -> Row:
        found = _found(engine, raster, wanted, journal)
        objects = object_rows(found.objects)
        for row, cut in zip(objects, found.cut.tolist(), strict=True):
            if cut:
                row["cut"] = True
        about = {"tiles": len(found.tiles), "merged": found.merged, "joined": found.joined}
        return {"objects": objects, **about, "problems": dict(found.problems), "frame": frame_row(raster.frame)}


TASK = Detect()


def _found(engine: Engine, raster: Raster, wanted: Wanted, journal: Any = None) -> Detections:
    return detect(engine, raster, wanted.classes or (), journal=journal, **detection_options(wanted))


def detection_options(wanted: Wanted) -> dict[str, Any]:
    """Return the arguments of `detect` that are wanted, its classes and journal aside."""
    same = ("kind", "style", "tile", "overlap", "mode", "constrained", "progress")
    return {**{name: getattr(wanted, name) for name in same}, **wanted.limit}


def detect(
    engine: Engine,
    image: Any,
    classes: Iterable[str],
    *,
    tile: int | None = None,
    overlap: float | None = None,
    mode: DetectionMode = "native",
    kind: Kind | None = None,
    style: Style | None = None,
    confidence: bool = False,
    constrained: bool = False,
    skip: Callable[[Image.Image], bool] | None = None,
    merge_iou: float = 0.1,
    batch: int = 16,
    max_new_tokens: int = 4096,
    progress: Callable[[int, int], None] | None = None,
    journal: str | PathLike[str] | None = None,
) -> Detections:
    """Find every object of some classes, tile by tile where the image is large, and merge what the tiles found.

    Tiles are read from the original as they are needed, so memory does not grow with the image. What is asked is what
    training renders (:func:`question`), in the words of the engine's dialect; the answer is read by its codec.

    Args:
        engine: Who answers.
        image: Whatever ``open_image`` takes.
        classes: Class names.
        tile: Side of a tile in original pixels; by default the largest the budget shows without shrinking. The paper's
            DOTA patches are 512.
        overlap: What neighbouring tiles share, in original pixels, or as a share of the tile when below 1; a fifth by
            default. The paper's is 100 pixels of 512. Larger objects may be seen whole by no tile: their pieces are joined
            where they agree (`Detections.joined`), and what a border still cuts is flagged (`Detections.cut`).
        mode: ``"max"`` enlarges every tile to the budget's limit, the paper's max mode; boxes come back on the original
            either way.
        kind: Box kind to ask for; by default the dialect's.
        style: Style of the answer; by default the dialect's.
        confidence: Score each object by the geometric mean of its tokens' probabilities; needs an engine that returns
            them.
        constrained: Hold the model to the codec's grammar and the given classes, so that every answer can be read, even
            an untrained model's.
        skip: Leaves out a tile for which it returns true, such as :func:`~rscovlm.geometry.tiling.flat`.
        merge_iou: IoU above which objects of one class from two tiles are one; see :func:`~rscovlm.tasks.merging.merge`.
        batch: Tiles read and asked about at a time.
        max_new_tokens: Limit of an answer.
        progress: Called with (tiles done, tiles) after each batch.
        journal: JSONL file of finished tiles. A run that was interrupted, even killed, resumes from it and gives what
            an uninterrupted one gives.

    Raises:
        ValueError: No class, a tile, overlap or IoU without meaning, an image that cannot be read, or a journal of another
            image or other settings.
        MergingFailed: What the tiles found could not be merged; the error holds it.
    """
    check_engine(engine)
    check_stated(engine, "detect")
    raster = image if isinstance(image, Raster) else open_image(image)
    tile = isqrt(engine.budget.max_pixels) if tile is None else tile
    if not isinstance(tile, Integral) or not (overlap is None or (isinstance(overlap, Real) and isfinite(overlap))):
        raise ValueError(
            f"tile is {tile!r} and overlap {overlap!r}; give whole pixels, overlap also as a share below 1"
        )
    if not (isinstance(merge_iou, Real) and 0 <= merge_iou <= 1):
        raise ValueError(f"merge_iou is {merge_iou!r}; give an IoU from 0 to 1")
    shared = tile // 5 if overlap is None else int(overlap * tile if 0 < overlap < 1 else overlap)
    # A generator would be used up by the first tile; one string is refused by the task.
    if not isinstance(classes, Iterable):
        raise ValueError(f"classes is {classes!r}; give a list of class names")
    names = classes if isinstance(classes, str) else tuple(check_names(classes, "class"))
    form = dialect_of(engine).form("detect", kind, style)
    task = AskedTiles(engine, raster, names, mode, *form, confidence, constrained, max_new_tokens)
    total = count_tiles(raster.width, raster.height, tile, shared)
    stats: list[TileStats] = []
    parts: list[Objects] = []
    windows = tiles(raster.width, raster.height, tile, shared)
    with ExitStack() as stack:
        done = (
            stack.enter_context(FinishedTiles(journal, raster, task.settings(tile, shared, skip))) if journal else None
        )
        while chunk := list(islice(windows, max(1, batch))):
            found = {} if done is None else {window: done[window] for window in chunk if window in done}
            missing = [window for window in chunk if window not in found]
            fresh = dict(zip(missing, task.run(missing, skip), strict=True))
            if done is not None:
                done.add(fresh.values())
            for window in chunk:
                objects, stat = found[window] if window in found else fresh[window]
                parts.append(objects)
                stats.append(stat)
            if progress is not None:
                progress(len(stats), total)
    return merged_detections(raster, parts, stats, merge_iou)


def read_tile(
    raster: Raster, window: WindowLike, budget: PixelBudget, mode: DetectionMode = "native"
) -> tuple[Image.Image, Frame]:
    """Return a tile's picture as detection shows it, and the grid in which the model sees it.

    Args:
        raster: The image.
        window: The tile, (x1, y1, x2, y2) in pixels of the image.
        budget: Pixels the model sees.
        mode: ``"max"`` enlarges the tile to the budget's limit.
    """
    width, height = Window(*window).size
    # A planned size is planned as itself, so the processor leaves such a picture as it is.
    limits = replace(budget, mode="max") if mode == "max" else budget
    planned = planned_size(raster, width, height, limits)
    small = width * height <= budget.max_pixels and squeezed(width, height) == (width, height)
    given = mode == "native" and small
    view = raster.read(window) if given else raster.read(window, size=planned)
    return view.image, view.frame.resized(*plan_size(*view.image.size, budget))


@dataclass(frozen=True)
class AskedTiles:
    """What is asked about every tile."""

    engine: Engine
    raster: Raster
    classes: Sequence[str]
    mode: DetectionMode
    kind: Kind
    style: Style
    confidence: bool
    constrained: bool
    max_new_tokens: int

    def __post_init__(self) -> None:
        if self.mode not in ("native", "max"):
            raise ValueError(f"mode is {self.mode!r}; choose 'native' or 'max'")
        self._question(1)

    def run(
        self, windows: Sequence[WindowLike], skip: Callable[[Image.Image], bool] | None
    ) -> Iterator[tuple[Objects, TileStats]]:
        """Yield the objects (in original pixels) and the statistics of each window, those left out too."""
        shown = [self.read(window) for window in windows]
        asked = [row for row, (picture, _) in enumerate(shown) if skip is None or not skip(picture)]
        options = {"logprobs": True} if self.confidence else {}
        conversations = [self.conversation(*shown[row]) for row in asked]
        answers = replies(self.engine, conversations, max_new_tokens=self.max_new_tokens, **options)
        answered = dict(zip(asked, answers, strict=True))
        for row, window in enumerate(windows):
            if row in answered:
                yield self.decode(answered[row], window, shown[row][1])
            else:
                yield Objects.empty(self.kind, self.raster.frame), TileStats(window, problems={"skipped": 1})

    def settings(self, tile: int, overlap: int, skip: Callable[..., bool] | None) -> dict[str, Any]:
        """Return what the answer about a tile depends on, as far as it can be named."""
        return {
            "image": [Path(self.raster.path).name, self.raster.width, self.raster.height, *self.raster.bands],
            "content": self.raster.digest(),
            "shown": str(self.raster.stretch),
            "classes": sorted(self.classes),
            "tile": tile,
            "overlap": overlap,
            "mode": self.mode,
            "kind": self.kind,
            "style": self.style,
            "confidence": self.confidence,
            **({"constrained": True} if self.constrained else {}),
            "max_new_tokens": self.max_new_tokens,
            "skip": None if skip is None else getattr(skip, "__qualname__", type(skip).__qualname__),
            "dialect": dialect_of(self.engine).to_dict(),
            "budget": asdict(self.engine.budget),
        }

    def read(self, window: WindowLike) -> tuple[Image.Image, Frame]:
        """Return a tile's picture and the grid in which the model sees it."""
        return read_tile(self.raster, window, self.engine.budget, self.mode)

    def conversation(self, picture: Image.Image, frame: Frame) -> Conversation:
        """Return what is asked about a tile's picture."""
        return self._question(max(frame.width, frame.height)).conversation([picture], frame)

    def _question(self, largest: int) -> Question:
        limit = largest if self.constrained else None
        return question(dialect_of(self.engine), self.classes, kind=self.kind, style=self.style, largest=limit)

    def decode(self, reply: Reply, window: WindowLike, frame: Frame) -> tuple[Objects, TileStats]:
        """Return the objects of an answer, in original pixels, and the statistics of its tile."""
        decoded = self.engine.codec.decode(reply.text, frame, kind=self.kind, categories=self.classes)
        objects, problems = decoded.objects, Counter(decoded.problems)
        # A box without an area is dropped here: it counts once, as ``no_area``.
        problems.pop("degenerate", None)
        if self.confidence:
            objects = replace(objects, scores=_scores(reply, decoded.spans))
        again = duplicates(objects.boxes, objects.labels)
        problems["duplicate"] += int(again.sum())
        objects = objects[~again].to(self.raster.frame)
        clipped = replace(objects, boxes=objects.boxes.clipped())
        empty = clipped.boxes.area() <= 0
        problems["no_area"] += int(empty.sum())
        problems["cut_off"] += reply.finish == "length"
        problems["repeat"] += reply.finish == "repeat"
        counts = {reason: count for reason, count in problems.items() if count}
        stat = TileStats(window, int((~empty).sum()), reply.tokens, reply.seconds, reply.finish, counts)
        return clipped[~empty], stat


def _scores(reply: Reply, spans: Iterable[tuple[int, int]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the geometric mean of the probabilities of the tokens that each span of the text touches."""
    if reply.token_logprobs is None or reply.token_texts is None:
        raise ValueError("the engine returned no log-probabilities; use one that does or leave confidence=False")
    ends = np.cumsum([len(text) for text in reply.token_texts])
    starts = ends - [len(text) for text in reply.token_texts]
    logs = np.asarray(reply.token_logprobs, dtype=np.float64)
    if logs.shape != (len(reply.token_texts),) or not (logs <= 1e-3).all():  # not a number is not below either
        raise ValueError(
            f"the engine returned {len(reply.token_texts)} token texts and log-probabilities {logs.tolist()[:8]}; it "
            "must give one log-probability a token, none above 0"
        )
    means = []
    for begin, end in spans:
        inside = (starts < end) & (ends > begin)
        means.append(min(1.0, float(np.exp(logs[inside].mean()))) if inside.any() else 0.0)
    return np.array(means, dtype=np.float64)
