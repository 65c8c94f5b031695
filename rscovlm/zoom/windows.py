"""From a call to a window of the original image, and from a window to the view a model gets."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

from rscovlm.geometry.window import Window, WindowLike
from rscovlm.processing.resolution import MAX_ASPECT_RATIO, PixelBudget, Size, plan_size
from rscovlm.zoom.calls import Call

if TYPE_CHECKING:
    from PIL import Image

    from rscovlm.codec import Codec
    from rscovlm.geometry import Frame
    from rscovlm.rasters import Raster, View


# Larger numbers mean nothing in any image, and their products could leave the range of floats.
_FAR = 1e9


@dataclass(frozen=True)
class Limits:
    """What a chain may spend on one question.

    Attributes:
        max_steps: Windows shown at most.
        max_visual_tokens: Visual tokens of all images shown, overviews included.
        min_side: Smallest side of a window in original pixels; a smaller region is shown with context around it.
        max_refusals: Calls that may fail and be tried again.
        max_aspect: Longest side over the shortest; a slimmer region is shown with context beside it.
        same: Two windows whose IoU is above this are the same window.
    """

    max_steps: int = 3
    max_visual_tokens: int = 3000
    min_side: int = 28
    max_refusals: int = 1
    max_aspect: float = 20.0
    same: float = 0.95

    def __post_init__(self) -> None:
        for name, least in (
            ("max_steps", 0),
            ("max_visual_tokens", 1),
            ("min_side", 1),
            ("max_refusals", 0),
            ("max_aspect", 1),
        ):
            value: Any = getattr(self, name)
            kind = Real if name == "max_aspect" else Integral
            if not isinstance(value, kind) or not float(value) >= least:
                whole = "" if kind is Real else "whole "
                raise ValueError(f"{name} is {value!r}; give a {whole}number from {least} up")
        if not isinstance(self.same, (int, float)) or not 0 < self.same <= 1:
            raise ValueError(f"same is {self.same!r}; give an IoU above 0 and at most 1")


@dataclass(frozen=True)
class ZoomView:
    """An image the model was shown.

    Attributes:
        picture: The picture as read from the original, before the processor's own resize; None where it was not kept.
        frame: The grid of the resized picture the model sees; its root is the original image.
        window: The part of the original it shows, (x1, y1, x2, y2) in original pixels.
        source: Which of the images asked about, from 0.
        tokens: Visual tokens it costs.
    """

    picture: Image.Image | None
    frame: Frame
    window: WindowLike
    source: int
    tokens: int

    @property
    def image(self) -> Image.Image:
        """The picture.

        Raises:
            ValueError: It was not kept.
        """
        if self.picture is None:
            raise ValueError("the pictures of this result were not kept; ask with pictures=True")
        return self.picture

    @property
    def view(self) -> View:
        """The picture with the grid of its own pixels."""
        from rscovlm.rasters import View

        return View(self.image, self.frame.resized(*self.image.size))


def locate(call: Call, view: ZoomView, raster: Raster, codec: Codec, limits: Limits) -> tuple[Window, bool] | None:
    """Return the window of the original that a call on ``view`` means, and whether the region reached over the border.

    The part of the region inside the view counts; ``None`` when there is none.
    """
    region = codec.decode_box([min(max(value, -_FAR), _FAR) for value in call.bbox], view.frame)
    inside = region.clipped()
    x1, y1, x2, y2 = inside.coords[0]
    if not (x2 > x1 and y2 > y1):
        return None
    cut = bool(abs(inside.coords - region.coords).max() > 1e-6)
    return enclose([float(side) for side in inside.to(raster.frame).coords[0]], raster, limits), cut


def enclose(box: list[float], raster: Raster | Frame, limits: Limits) -> Window:
    """Return the whole pixels that hold ``box`` (original pixels), with context where it is small or slim."""
    x1, x2 = _whole(box[0], box[2], raster.width)
    y1, y2 = _whole(box[1], box[3], raster.height)
    longest = max(x2 - x1, y2 - y1)
    least = max(limits.min_side, math.ceil(longest / limits.max_aspect))
    x1, x2 = _widen(x1, x2, least, raster.width)
    y1, y2 = _widen(y1, y2, least, raster.height)
    return Window(x1, y1, x2, y2)


def show(raster: Raster, window: WindowLike | None, source: int, budget: PixelBudget, tokens: int) -> ZoomView | None:
    """Read a window (``None``: the whole image) at the best resolution that costs at most ``tokens`` visual tokens.

    A window of no more pixels than the model may see is handed over as it is, and the processor resizes it as in
    training; a larger one is read at exactly the size the processor plans, so it is resized once. One too slim for
    processors is squeezed along its length; its frame knows by how much.

    Returns:
        The view, or ``None`` when even the smallest picture the budget knows costs more.
    """
    part = Window(*window) if window else Window.whole(raster.width, raster.height)
    width, height = part.size
    size = _processable(planned_size(raster, width, height, budget))
    as_is = width * height <= budget.max_pixels and squeezed(width, height) == (width, height)
    if budget.tokens(size) > tokens:
        as_is = False
        room = tokens * budget.factor**2
        if room < budget.factor**2:
            return None
        smaller = replace(budget, mode="native", min_pixels=min(budget.min_pixels, room), max_pixels=room)
        size = _processable(plan_size(*squeezed(width, height), smaller))
        if budget.tokens(plan_size(*size, budget)) > tokens:
            return None
    view = raster.read(part) if as_is else raster.read(part, size=size)
    planned = plan_size(*view.image.size, budget)
    return ZoomView(view.image, view.frame.resized(*planned), part, source, budget.tokens(planned))


def planned_size(raster: Raster, width: int, height: int, budget: PixelBudget) -> Size:
    """Return the planned size of a part of an image, squeezed where it is too slim; an error names the image.

    Raises:
        ValueError: The size cannot be planned; the message names the image.
    """
    try:
        return plan_size(*squeezed(width, height), budget)
    except ValueError as error:
        raise ValueError(f"{raster.path}: {error}") from None


def squeezed(width: int, height: int) -> Size:
    """Return a size no slimmer than processors take: the longer side cut to 200 times the shorter.

    >>> squeezed(100_000, 1), squeezed(640, 480)
    (Size(width=200, height=1), Size(width=640, height=480))
    """
    longest = MAX_ASPECT_RATIO * min(width, height)
    return Size(min(width, longest), min(height, longest))


def _processable(size: Size) -> Size:
    """Return a planned size no slimmer than processors take: rounding makes that of 200 : 1 up to twice as slim."""
    return squeezed(size.width, size.height)


def _whole(low: float, high: float, end: int) -> tuple[int, int]:
    """Return whole pixels around [low, high), at least one, inside [0, end)."""
    start = min(max(math.floor(low + 1e-6), 0), end - 1)
    return start, max(start + 1, min(math.ceil(high - 1e-6), end))


def _widen(start: int, stop: int, least: int, end: int) -> tuple[int, int]:
    """Return [start, stop) grown around its middle to ``least`` pixels, as far as the image goes."""
    length = min(least, end)
    if stop - start >= length:
        return start, stop
    start = min(max((start + stop - length) // 2, 0), end - length)
    return start, start + length
