"""How much an image may ask of this machine before it is refused."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PixelLimits:
    """Largest number of pixels per step; checked against what a file claims, before anything is decoded.

    Attributes:
        in_memory: Pixels that may be held at once: an image decoded whole (Pillow, arrays never count) or a view.
            The default is the size at which Pillow itself suspects a decompression bomb.
        sequential: Pixels of a PNG or JPEG that is decoded front to back in small pieces (needs rasterio).
            The default holds the largest pictures of published benchmarks (27,860 x 31,096).
        streamed: Pixels of a tiled or stripped file read once, block by block, to make an overview it lacks.
        small: Pixels up to which a PNG or JPEG is decoded whole and kept, and an overview is made anew each time;
            above, pictures are read in pieces, and the overview of a file that has none is kept.
        block: Numbers (pixels times the bands stored together) of one tile or strip, which is always decoded whole.

    Example:
        >>> PixelLimits(in_memory=2**26).in_memory
        67108864
    """

    in_memory: int = 178_956_970
    sequential: int = 2**30
    streamed: int = 2**34
    small: int = 2**24
    block: int = 2**28

    def __post_init__(self) -> None:
        for name in ("in_memory", "sequential", "streamed", "small", "block"):
            if getattr(self, name) < 1:
                raise ValueError(f"PixelLimits({name}={getattr(self, name)!r}) must be a positive number of pixels")


def block_too_large(name: str, width: int, height: int, bands: int, limit: int) -> str:
    """Say that a file's tiles or strips are above the limit, and what to do."""
    return (
        f"{name}: is stored in blocks of {width}x{height} pixels, {bands} bands together, above the limit of "
        f"{limit:,}; set limits=PixelLimits(block={width * height * bands}) if you trust it, or convert it to smaller tiles"
    )
