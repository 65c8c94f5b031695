"""What a model was shown for one question, and what it may still be shown."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from rscovlm.geometry.window import Window, WindowLike
from rscovlm.zoom.calls import Call, Refusal
from rscovlm.zoom.refusals import refusal_text
from rscovlm.zoom.windows import Limits, ZoomView, locate, show

if TYPE_CHECKING:
    from rscovlm.codec import Codec
    from rscovlm.processing import PixelBudget
    from rscovlm.rasters import Raster


class FoundWindow(NamedTuple):
    """A window that may be shown.

    Attributes:
        window: In original pixels.
        source: Of which image, from 0.
        cut: The region reached over the border of the image it was named on.
    """

    window: WindowLike
    source: int
    cut: bool


class ViewHistory:
    """The views of one question, overviews first.

    Args:
        rasters: The images asked about.
        overviews: What the model sees of each at first, in the same order.
        codec: How the model writes boxes.
        budget: The pixels the model sees of an image.
        limits: What may be spent.

    Attributes:
        views: Every view, in the order shown.
        looks_left: Windows that may still be shown.
        read_seconds: Time spent reading windows.
    """

    def __init__(
        self,
        rasters: Sequence[Raster],
        overviews: Sequence[ZoomView],
        *,
        codec: Codec,
        budget: PixelBudget,
        limits: Limits,
    ) -> None:
        self.rasters, self.codec, self.limits = rasters, codec, limits
        self._budget = budget
        self.views = list(overviews)
        self.looks_left = limits.max_steps
        self.read_seconds = 0.0

    @property
    def several(self) -> bool:
        """Whether several images are asked about, so that a call may name one."""
        return len(self.rasters) > 1

    @property
    def spent(self) -> int:
        """Visual tokens shown so far."""
        return sum(view.tokens for view in self.views)

    def find(self, call: Call) -> FoundWindow | Refusal:
        """Return the window a call means, or why it cannot be shown: no such image, outside of it, or seen before."""
        number = call.image or len(self.views)
        if number > len(self.views):
            return "bad_arguments"
        view = self.views[number - 1]
        located = locate(call, view, self.rasters[view.source], self.codec, self.limits)
        if located is None:
            return "outside"
        window, cut = located
        former = (other.window for other in self.views if other.source == view.source)
        if any(Window(*window).overlap(other) > self.limits.same for other in former):
            return "repeated"
        return FoundWindow(window, view.source, cut)

    def read(self, window: WindowLike, source: int) -> ZoomView | None:
        """Read a window within the visual tokens that are left, and count it; ``None`` where they are too few."""
        start = time.perf_counter()
        left = self.limits.max_visual_tokens - self.spent
        view = show(self.rasters[source], window, source, self._budget, left)
        self.read_seconds += time.perf_counter() - start
        if view is not None:
            self.views.append(view)
            self.looks_left -= 1
        return view

    def reason(self, refusal: Refusal, call: Call | None) -> str:
        """Return the reply to a call that was not carried out."""
        number = call.image if call is not None and call.image else len(self.views)
        frame = self.views[min(number, len(self.views)) - 1].frame
        # How far the image reaches in the codec's own coordinates, found from what one of its units is in pixels.
        across, down = self.codec.decode_box([0, 0, 1, 1], frame).coords[0, 2:]
        width, height = round(frame.width / float(across)), round(frame.height / float(down))
        return refusal_text(refusal, width=width, height=height, images=len(self.views), several=self.several)
