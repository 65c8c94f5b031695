"""Segmenters by name."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from rscovlm.points.segmenter import Segmenter

EMBEDDED, FILLED = "embedded", "filled"


def embedded_segmenter() -> str:
    """Return the folder of the segmenter that ships with the package, for ``Sam2Model.from_pretrained``.

    It draws masks of objects in generated scenes and knows nothing else: see its README.md.

    Examples:
        >>> from pathlib import Path
        >>> Path(embedded_segmenter()).name
        'embedded_segmenter'
    """
    return str(Path(__file__).with_name("embedded_segmenter"))


@cache
def load_segmenter(name: str = "") -> Segmenter | None:
    """Return the segmenter of a SAM 2 checkpoint; None, which stands for filled boxes, where there is no name.

    A checkpoint is loaded once.

    Args:
        name: Folder, or name on the Hub; ``"embedded"`` for the one that ships with the package; empty or ``"filled"`` for none.

    >>> load_segmenter("filled") is None
    True
    """
    if name in ("", FILLED):
        return None
    from rscovlm.points.close_ups import CloseUps
    from rscovlm.points.sam2 import Sam2Segmenter

    # The embedded one was trained on single objects that fill much of what it sees.
    return CloseUps(Sam2Segmenter.load(embedded_segmenter())) if name == EMBEDDED else Sam2Segmenter.load(name)
