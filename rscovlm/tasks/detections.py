"""What a detector found on an image, and ways to hand it on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rscovlm.engines.engine import Finish
from rscovlm.geometry import Objects
from rscovlm.geometry.window import WindowLike
from rscovlm.tasks.merging import merge_and_join

if TYPE_CHECKING:
    from PIL import Image

    from rscovlm.geometry import Frame
    from rscovlm.rasters import Raster


@dataclass(frozen=True)
class TileStats:
    """What happened on one tile.

    Attributes:
        window: The tile in original pixels.
        found: Objects read from the answer, before merging.
        tokens: Generated tokens.
        seconds: The engine's time.
        finish: How the answer ended; ``None`` when the tile was skipped.
        problems: Counts by reason of what could not be read.
        text: The answer, where it was kept.
    """

    window: WindowLike
    found: int = 0
    tokens: int = 0
    seconds: float = 0.0
    finish: Finish | None = None
    problems: dict[str, int] = field(default_factory=dict)
    text: str = field(default="", repr=False)


class MergingFailed(RuntimeError):
    """The tiles have been answered, but what they found could not be merged.

    Attributes:
        objects: What the tiles found, in pixels of the original image.
        tile_of: The tile of each object.
        tiles: What happened on each tile; with these, :func:`rscovlm.tasks.merging.merge` may be tried again.
    """

    def __init__(self, why: Exception, objects: Objects, tile_of: Sequence[int], tiles: Sequence[TileStats]) -> None:
        super().__init__(
            f"{len(objects)} objects of {len(tiles)} tiles could not be merged ({type(why).__name__}: {why}); the objects, "
            "tile_of and tiles of this error hold what was found, and so does the journal where there is one"
        )
        self.objects, self.tile_of, self.tiles = objects, tile_of, tiles


@dataclass(frozen=True)
class Detections:
    """Objects on an image.

    Attributes:
        objects: Labelled boxes in pixels of the original image; with scores when confidence was asked for.
        frame: The original's grid, with its place on the ground where the file has one.
        problems: Counts by reason: those of the codec; ``duplicate`` (the same line again in one answer), ``no_area``
            (nothing of the box lies on the image), ``cut_off`` (answers cut at the token limit), ``repeat`` (answers
            ended by the repeat guard), ``skipped`` (tiles not asked about).
        merged: Objects removed because another tile's stands for them, or joined to another.
        tiles: What happened on each tile, in order.
        raster: The image, for drawing.
        joined: Objects that no tile saw whole, joined from their pieces.
        cut: (n,) which objects the border of a tile still cuts: they may go on where nothing was found.
    """

    objects: Objects
    frame: Frame
    problems: Counter[str]
    merged: int
    tiles: Sequence[TileStats]
    raster: Raster = field(repr=False)
    joined: int = 0
    cut: NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, dtype=bool), repr=False)

    def __len__(self) -> int:
        return len(self.objects)

    @property
    def tokens(self) -> int:
        """Generated tokens of all tiles."""
        return sum(tile.tokens for tile in self.tiles)

    @property
    def seconds(self) -> float:
        """The engine's time for all tiles."""
        return sum(tile.seconds for tile in self.tiles)

    def counts(self) -> Counter[str]:
        """Return how many objects there are of each class."""
        return Counter(self.objects.labels)

    def to_geojson(
        self, path: str | PathLike[str] | None = None, *, crs: str | None = "EPSG:4326", overwrite: bool = False
    ) -> dict[str, Any]:
        """Return the objects as a GeoJSON feature collection, and write it to ``path`` when given; ``cut`` marks those.

        See :func:`rscovlm.exports.geojson.to_geojson` for ``crs``, ``overwrite`` and what an image without a place gets.
        """
        from rscovlm.exports.geojson import to_geojson

        about: list[dict[str, Any]] | None = None
        if self.cut.any():
            about = [{"cut": True} if cut else {} for cut in self.cut.tolist()]
        return to_geojson(self.objects, path, crs=crs, properties=about, overwrite=overwrite)

    def draw(self, max_pixels: int = 1008 * 1008) -> Image.Image:
        """Return the image, shrunk to ``max_pixels``, with the objects drawn on it."""
        from rscovlm.exports.drawing import draw_objects

        return draw_objects(self.raster.overview(max_pixels), self.objects)

    def to_map(
        self,
        path: str | PathLike[str],
        *,
        title: str = "Detections",
        max_pixels: int = 2048 * 2048,
        overwrite: bool = False,
    ) -> Path:
        """Write a page that shows the objects on the image, on a map where it has a place on the ground."""
        from rscovlm.exports.map_page import map_page

        return map_page(path, self.raster.overview(max_pixels), self.objects, title=title, overwrite=overwrite)


def merged_detections(
    raster: Raster, parts: Sequence[Objects], stats: Sequence[TileStats], merge_iou: float
) -> Detections:
    """Return what the tiles of an image found, as objects of the image.

    Raises:
        MergingFailed: They could not be merged; the error holds them.
    """
    objects = Objects.concatenate(parts)
    tile_of = [number for number, part in enumerate(parts) for _ in range(len(part))]
    windows = [stat.window for stat in stats]
    try:
        merged = merge_and_join(objects, tile_of, windows, (raster.width, raster.height), overlap=merge_iou)
    except Exception as error:
        # Hours of answers must not be lost to what comes after them.
        raise MergingFailed(error, objects, tile_of, stats) from error
    problems: Counter[str] = Counter()
    for stat in stats:
        problems.update(stat.problems)
    return Detections(
        merged.objects, raster.frame, problems, merged.removed, tuple(stats), raster, merged.joined, merged.cut
    )
