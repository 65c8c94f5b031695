"""Parts of an image in whole pixels."""

from __future__ import annotations

Window = tuple[int, int, int, int]
"""x1, y1, x2, y2 in pixels of the image; x2 and y2 are the first column and row outside."""
