"""Segmenters by name."""

from __future__ import annotations

from functools import cache

from rscovlm.points.segmenter import Segmenter


@cache
def load_segmenter(name: str = "") -> Segmenter | None:
    """Return the segmenter of a SAM 2 checkpoint; None, which stands for filled boxes, where there is no name.

    A checkpoint is loaded once.

    Args:
        name: Folder, or name on the Hub; empty or ``"filled"`` for none.

    >>> load_segmenter("filled") is None
    True
    """
    if name in ("", "filled"):
        return None
    from rscovlm.points.sam2 import Sam2Segmenter

    return Sam2Segmenter.load(name)
