"""Dense detection on many images: the tiles of several are asked about as one batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from math import isqrt
from typing import TYPE_CHECKING

from rscovlm.codec.control_tokens import check_names
from rscovlm.codec.writing import Style
from rscovlm.engines.engine import check_engine, dialect_of, replies
from rscovlm.geometry import Objects
from rscovlm.geometry.kinds import Kind
from rscovlm.geometry.tiling import count_tiles, tiles
from rscovlm.geometry.window import WindowLike
from rscovlm.rasters import Raster
from rscovlm.tasks.detect import AskedTiles
from rscovlm.tasks.detections import Detections, TileStats, merged_detections
from rscovlm.tasks.wanted import DetectionMode

if TYPE_CHECKING:
    from rscovlm.engines.engine import Engine


@dataclass
class _Image:
    """An image and what its tiles have found so far."""

    task: AskedTiles
    total: int
    parts: list[Objects] = field(default_factory=list)
    stats: list[TileStats] = field(default_factory=list)


def detect_many(
    engine: Engine,
    images: Iterable[tuple[Raster, Sequence[str]]],
    *,
    tile: int | None = None,
    overlap: int | None = None,
    mode: DetectionMode = "native",
    kind: Kind | None = None,
    style: Style | None = None,
    merge_iou: float = 0.1,
    batch: int = 32,
    max_new_tokens: int = 4096,
) -> Iterator[Detections]:
    """Find every object of some classes on each of many images; gives what :func:`detect` gives on each alone.

    Small images share a batch, so that a set of them is answered as fast as one large image. Answers are kept in
    :attr:`TileStats.text`.

    Args:
        engine: Who answers.
        images: Pairs of an open image and its class names; read as they are needed.
        tile: As for :func:`detect`.
        overlap: What neighbouring tiles share, in original pixels; a fifth of the tile by default.
        mode: As for :func:`detect`.
        kind: As for :func:`detect`.
        style: As for :func:`detect`.
        merge_iou: As for :func:`detect`.
        batch: Tiles read and asked about at a time.
        max_new_tokens: Limit of an answer.

    Yields:
        The detections of each image, in their order.

    Raises:
        ValueError: As :func:`detect`.
    """
    check_engine(engine)
    side = isqrt(engine.budget.max_pixels) if tile is None else tile
    shared = side // 5 if overlap is None else overlap
    form = dialect_of(engine).form("detect", kind, style)

    def windows() -> Iterator[tuple[_Image, WindowLike]]:
        for raster, classes in images:
            names = check_names(classes, "class")
            task = AskedTiles(engine, raster, names, mode, *form, False, False, max_new_tokens)
            image = _Image(task, count_tiles(raster.width, raster.height, side, shared))
            for window in tiles(raster.width, raster.height, side, shared):
                yield image, window

    waiting = windows()
    while chunk := list(islice(waiting, max(1, batch))):
        shown = [image.task.read(window) for image, window in chunk]
        asked = [image.task.conversation(*one) for (image, _), one in zip(chunk, shown, strict=True)]
        answers = replies(engine, asked, max_new_tokens=max_new_tokens)
        for (image, window), (_, frame), reply in zip(chunk, shown, answers, strict=True):
            objects, stat = image.task.decode(reply, window, frame)
            image.parts.append(objects)
            image.stats.append(replace(stat, text=reply.text))
            if len(image.stats) == image.total:
                yield merged_detections(image.task.raster, image.parts, image.stats, merge_iou)
