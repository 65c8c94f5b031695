"""Parts of an image in whole pixels."""

from __future__ import annotations

import math
from typing import NamedTuple, TypeAlias

WindowLike: TypeAlias = tuple[int, int, int, int]
"""x1, y1, x2, y2 in pixels of the image, as a `Window` or a plain tuple: what every function that is given a window takes."""


class Window(NamedTuple):
    """A part of an image; it equals the plain tuple of its four numbers.

    Attributes:
        x1: First column inside.
        y1: First row inside.
        x2: First column outside.
        y2: First row outside.

    >>> window = Window(10, 20, 50, 40)
    >>> window.width, window.height, window.area, window == (10, 20, 50, 40)
    (40, 20, 800, True)
    """

    x1: int
    y1: int
    x2: int
    y2: int

    @classmethod
    def whole(cls, width: int, height: int) -> Window:
        """Return the window of a whole image."""
        return cls(0, 0, width, height)

    @classmethod
    def around(cls, x1: float, y1: float, x2: float, y2: float) -> Window:
        """Return the whole pixels that hold a box.

        >>> Window.around(0.2, 1.0, 3.1, 4.0)
        Window(x1=0, y1=1, x2=4, y2=4)
        """
        return cls(math.floor(x1), math.floor(y1), math.ceil(x2), math.ceil(y2))

    @property
    def width(self) -> int:
        """Columns."""
        return self.x2 - self.x1

    @property
    def height(self) -> int:
        """Rows."""
        return self.y2 - self.y1

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.width, self.height

    @property
    def area(self) -> int:
        """Pixels; 0 where nothing is inside."""
        return max(0, self.width) * max(0, self.height)

    @property
    def empty(self) -> bool:
        """Whether nothing is inside."""
        return self.x2 <= self.x1 or self.y2 <= self.y1

    def shared(self, other: WindowLike) -> Window:
        """Return the part that two windows share, which may be empty.

        >>> Window(0, 0, 4, 4).shared((2, 1, 9, 9))
        Window(x1=2, y1=1, x2=4, y2=4)
        """
        return Window(max(self.x1, other[0]), max(self.y1, other[1]), min(self.x2, other[2]), min(self.y2, other[3]))

    def overlap(self, other: WindowLike) -> float:
        """Return the IoU of two windows; 0 where both are empty.

        >>> Window(0, 0, 4, 4).overlap((2, 0, 6, 4))
        0.3333333333333333
        """
        shared = self.shared(other).area
        union = self.area + Window(*other).area - shared
        return shared / union if union else 0.0

    def grown(self, margin: int) -> Window:
        """Return the window with so many pixels more on each side."""
        return Window(self.x1 - margin, self.y1 - margin, self.x2 + margin, self.y2 + margin)

    def clipped(self, width: int, height: int) -> Window:
        """Return the part that lies on an image of a size."""
        return self.shared((0, 0, width, height))

    def moved(self, x: int, y: int) -> Window:
        """Return the window so many pixels further right and down."""
        return Window(self.x1 + x, self.y1 + y, self.x2 + x, self.y2 + y)
