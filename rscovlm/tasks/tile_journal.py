"""Tiles that are done, kept in a journal between runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from rscovlm.geometry import Boxes, Objects
from rscovlm.geometry.window import WindowLike
from rscovlm.tasks.detections import TileStats
from rscovlm.zoom.journal import Journal

if TYPE_CHECKING:
    from rscovlm.rasters import Raster

Tile = tuple[Objects, TileStats]

TILES = "tiles"
"""Kind of such a journal."""


class FinishedTiles:
    """What earlier runs found on which tile.

    Args:
        path: The journal.
        raster: The image.
        settings: What the answers depend on; a journal made with others is refused.

    Raises:
        ValueError: The journal has other settings or is damaged before its last line.
    """

    def __init__(self, path: str | PathLike[str], raster: Raster, settings: Mapping[str, Any]) -> None:
        self._raster = raster
        self._journal = Journal(path, settings, kind=TILES)
        try:
            self._tiles = {stat.window: (objects, stat) for objects, stat in map(self._read, self._journal)}
        except (KeyError, TypeError, ValueError) as error:
            # The journal may hold anything.
            self._journal.close()
            raise ValueError(f"{path} holds a row that is no finished tile ({error!r}); remove the file") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._journal.close()

    def __contains__(self, window: WindowLike) -> bool:
        return window in self._tiles

    def __getitem__(self, window: WindowLike) -> Tile:
        return self._tiles[window]

    def add(self, tiles: Iterable[Tile]) -> None:
        """Keep tiles; they are on the disk when this returns."""
        rows = [self._row(objects, stat) for objects, stat in tiles]
        if rows:
            self._journal.append(rows)

    def _row(self, objects: Objects, stat: TileStats) -> dict[str, Any]:
        return {
            "window": stat.window,
            "kind": objects.boxes.kind,
            "boxes": objects.boxes.coords.tolist(),
            "labels": objects.labels,
            "scores": None if objects.scores is None else objects.scores.tolist(),
            "found": stat.found,
            "tokens": stat.tokens,
            "seconds": stat.seconds,
            "finish": stat.finish,
            "problems": stat.problems,
        }

    def _read(self, row: Mapping[str, Any]) -> Tile:
        frame = self._raster.frame
        boxes = Boxes(row["boxes"], row["kind"], frame) if row["boxes"] else Boxes.empty(row["kind"], frame)
        scores = None if row["scores"] is None else np.array(row["scores"], dtype=np.float64)
        x1, y1, x2, y2 = (int(side) for side in row["window"])
        stat = TileStats(
            (x1, y1, x2, y2), row["found"], row["tokens"], row["seconds"], row["finish"], dict(row["problems"])
        )
        return Objects(boxes, tuple(row["labels"]), scores), stat
