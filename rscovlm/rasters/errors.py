"""What opening or reading an image may raise; both are `ValueError`s whose message says what to do."""

from __future__ import annotations


class RasterError(ValueError):
    """An image cannot be read as asked: not an image, damaged, too large for a limit, or a window outside it."""


class MissingRasterError(RasterError, FileNotFoundError):
    """There is no file of this name."""
