"""Windows that cover an image."""

from __future__ import annotations

from collections.abc import Iterator

from PIL import Image, ImageStat

from rscovlm.geometry.window import WindowLike


def tiles(width: int, height: int, tile: int, overlap: int) -> Iterator[WindowLike]:
    """Yield windows that cover an image row by row, the last of each row and column moved back to the border.

    Args:
        width: Width of the image in pixels.
        height: Its height.
        tile: Side of a window; an image that is smaller gets smaller windows.
        overlap: Pixels that neighbours share at least.

    Raises:
        ValueError: ``tile`` is below 1 or ``overlap`` is not in [0, tile).

    >>> list(tiles(250, 100, 100, 20))
    [(0, 0, 100, 100), (80, 0, 180, 100), (150, 0, 250, 100)]
    """
    for y in window_starts(height, tile, overlap):
        for x in window_starts(width, tile, overlap):
            yield x, y, min(x + tile, width), min(y + tile, height)


def count_tiles(width: int, height: int, tile: int, overlap: int) -> int:
    """Return how many windows :func:`tiles` yields."""
    return len(window_starts(width, tile, overlap)) * len(window_starts(height, tile, overlap))


def flat(image: Image.Image, spread: float = 2.0) -> bool:
    """Return whether a tile shows nothing: no band varies by more than ``spread`` grey levels (standard deviation).

    Meant for ``detect(..., skip=flat)``: no-data borders, calm open water, cloud.

    >>> flat(Image.new("RGB", (64, 64), "navy"))
    True
    """
    return max(ImageStat.Stat(image).stddev) <= spread


def window_starts(length: int, tile: int, overlap: int) -> list[int]:
    """Return where windows begin along one side of an image; the last one ends at the border.

    Raises:
        ValueError: ``tile`` is below 1 or ``overlap`` is not in [0, tile).
    """
    if tile < 1 or not 0 <= overlap < tile:
        raise ValueError(f"tile is {tile} and overlap {overlap} pixels; give tile >= 1 and 0 <= overlap < tile")
    if length <= tile:
        return [0]
    starts = list(range(0, length - tile, tile - overlap))
    return [*starts, length - tile]
