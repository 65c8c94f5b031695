"""The pixel grid a model sees, planned before a single pixel is read."""

import math
import operator
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, SupportsIndex, get_args

Mode = Literal["native", "max", "fixed"]

_MOST_PIXELS = 1 << 40

MAX_ASPECT_RATIO = 200  # the limit of the Qwen processors


class Size(NamedTuple):
    """Width and height in pixels."""

    width: int
    height: int


@dataclass(frozen=True)
class PixelBudget:
    """How many pixels of an image a model may see, and how they are laid out.

    Attributes:
        min_pixels: Smallest area in pixels; smaller images are enlarged.
        max_pixels: Largest area in pixels; larger images are reduced.
        factor: Side of one visual token in pixels (28 for Qwen2.5-VL, 32 for Qwen3-VL): both sides are multiples of it.
        mode: ``"native"`` keeps the image's own size, rounded to the factor, while it lies within the limits: the rule of
            the Qwen processors, bit for bit. ``"max"`` brings every image, small or large, up to ``max_pixels`` and
            keeps its shape as nearly as whole tokens allow. ``"fixed"`` gives every image the same number of tokens,
            exactly ``max_pixels // factor**2``, and bends the shape as little as that number's divisors allow
            (so choose a number with many, such as a square). "max" and "fixed" never exceed ``max_pixels``
            and leave a size they planned as it is; they have no use for ``min_pixels``.

    Raises:
        ValueError: if a number is not a positive integer, the limits are reversed, or not one token fits.

    Example:
        >>> PixelBudget(max_pixels=336 * 336).tokens(Size(336, 336))
        144
    """

    min_pixels: int = 224 * 224
    max_pixels: int = 1008 * 1008
    factor: int = 28
    mode: Mode = "native"

    def __post_init__(self) -> None:
        for name in ("min_pixels", "max_pixels", "factor"):
            object.__setattr__(self, name, _positive(getattr(self, name), name))
        if self.min_pixels > self.max_pixels:
            raise ValueError(f"min_pixels {self.min_pixels} is above max_pixels {self.max_pixels}; swap or widen them")
        if self.max_pixels > _MOST_PIXELS:
            raise ValueError(f"max_pixels {self.max_pixels} is more than any image has; give {_MOST_PIXELS} or fewer")
        if self.max_pixels < self.factor**2:
            raise ValueError(
                f"max_pixels {self.max_pixels} holds no token of {self.factor}x{self.factor} pixels; "
                f"give at least {self.factor**2}"
            )
        if self.mode not in get_args(Mode):
            raise ValueError(f"mode {self.mode!r} is unknown; choose one of {', '.join(get_args(Mode))}")

    def tokens(self, size: tuple[int, int]) -> int:
        """Return the number of visual tokens of a planned size (width, height)."""
        return (size[0] // self.factor) * (size[1] // self.factor)

    def to_dict(self) -> dict[str, Any]:
        """Return the budget as plain JSON values."""
        return {
            "min_pixels": self.min_pixels,
            "max_pixels": self.max_pixels,
            "factor": self.factor,
            "mode": self.mode,
        }


def plan_size(width: SupportsIndex, height: SupportsIndex, budget: PixelBudget | None = None, **overrides: Any) -> Size:
    """Plan the size to which an image of ``width`` x ``height`` pixels is resized.

    Args:
        width: Width of the original image in pixels.
        height: Height of the original image in pixels.
        budget: The limits; ``PixelBudget()`` when omitted.
        **overrides: ``min_pixels``, ``max_pixels``, ``factor`` or ``mode``, in place of the budget's own.

    Returns:
        The planned ``Size(width, height)``, both multiples of the factor.

    Raises:
        ValueError: if a side is not a positive integer or one side is more than 200 times the other.

    Source: mode "native" is ``smart_resize`` of the Qwen processors (transformers), with its order of rounding.

    Example:
        >>> plan_size(512, 512)
        Size(width=504, height=504)
        >>> plan_size(20_000, 10_000)
        Size(width=1400, height=700)
        >>> plan_size(512, 512, mode="max")
        Size(width=1008, height=1008)
    """
    budget = replace(budget or PixelBudget(), **overrides) if overrides else budget or PixelBudget()
    width, height = _positive(width, "width"), _positive(height, "height")
    if max(width, height) / min(width, height) > MAX_ASPECT_RATIO:
        raise ValueError(
            f"an image of {width}x{height} pixels has an aspect ratio of {max(width, height) / min(width, height):.1f}, "
            f"above the limit of {MAX_ASPECT_RATIO}; cut it into pieces or pad it first"
        )
    if budget.mode == "native":
        return _native(width, height, budget)
    tokens = budget.max_pixels // budget.factor**2
    grids = _exact_grids(tokens) if budget.mode == "fixed" else _largest_grids(tokens)
    # A planned size must be one that can be planned again, and that any server's own processor accepts.
    grids = [grid for grid in grids if max(grid) <= MAX_ASPECT_RATIO * min(grid)]
    if not grids:
        raise ValueError(
            f"mode 'fixed' cannot lay out exactly {tokens} tokens (max_pixels {budget.max_pixels}, factor "
            f"{budget.factor}) within an aspect ratio of {MAX_ASPECT_RATIO}; choose max_pixels as (n * factor)**2"
        )
    columns, rows = min(grids, key=lambda grid: (abs(math.log(grid[0] * height / (grid[1] * width))), -grid[0]))
    return Size(columns * budget.factor, rows * budget.factor)


def _native(width: int, height: int, budget: PixelBudget) -> Size:
    # The exact expressions matter: a side that lands on a multiple of the factor may fall on either side of it
    # in floating point, and the plan must fall where the processor's does.
    factor = budget.factor
    columns, rows = round(width / factor), round(height / factor)
    if columns * rows * factor**2 > budget.max_pixels:
        shrink = math.sqrt((height * width) / budget.max_pixels)
        columns = max(1, math.floor(width / shrink / factor))
        rows = max(1, math.floor(height / shrink / factor))
    elif columns * rows * factor**2 < budget.min_pixels:
        grow = math.sqrt(budget.min_pixels / (height * width))
        columns = math.ceil(width * grow / factor)
        rows = math.ceil(height * grow / factor)
    return Size(columns * factor, rows * factor)


def _exact_grids(tokens: int) -> list[tuple[int, int]]:
    """All (columns, rows) with exactly this many tokens."""
    low = [n for n in range(1, math.isqrt(tokens) + 1) if tokens % n == 0]
    return sorted({grid for n in low for grid in ((n, tokens // n), (tokens // n, n))})


def _largest_grids(tokens: int) -> list[tuple[int, int]]:
    """All (columns, rows) to which neither a column nor a row can be added without exceeding this many tokens."""
    grids = {(n, tokens // n) for n in range(1, math.isqrt(tokens) + 1)}
    return sorted(grids | {(rows, columns) for columns, rows in grids})


def _positive(value: SupportsIndex, name: str) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        raise ValueError(f"{name} is {value!r}; give a whole number of pixels") from None
    if number < 1 or isinstance(value, bool):
        raise ValueError(f"{name} is {value!r}; give a positive whole number of pixels")
    return number
