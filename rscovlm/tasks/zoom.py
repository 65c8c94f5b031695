"""Zooming: a question whose answer needs a closer look, and the region to look at (paper, equation 5)."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from rscovlm.codec import Codec
from rscovlm.codec.dialect import Dialect
from rscovlm.geometry import Boxes, Frame
from rscovlm.geometry.window import Window
from rscovlm.processing.resolution import plan_size
from rscovlm.records import Record, Rejected
from rscovlm.records.pictures import Picture
from rscovlm.tasks.answer import TASK as ANSWER
from rscovlm.tasks.answer import question, question_needs
from rscovlm.tasks.task import Draw, Example, Question, Shown, Task
from rscovlm.zoom.layouts import ZoomWords, zoom_conversation
from rscovlm.zoom.windows import Limits, enclose


class Zoom(Task):
    """A question, the region that answers it, and the answer."""

    name = "zoom"
    looks = True
    choosable = True
    category = "visual-question-answering"

    def needs(self, record: Record) -> Iterable[tuple[bool, str]]:
        """A question, an answer, and a region to look at."""
        yield from question_needs(record)
        yield not record.regions, "no region"

    def example(self, record: Record, shown: Shown, draw: Draw) -> Example:
        """Look at the region and answer; without the tool where several regions are needed, or where none is closer."""
        if len(record.regions) != 1 or draw.rng.random() < draw.options.direct_rate:
            return ANSWER.example(record, shown, draw)
        frame, overview = shown.frames[0], shown.pictures[0]
        window, call = _called(_whole_pixels(record, frame), frame, overview.size, draw.dialect.codec)
        window = _beside(enclose(list(map(float, window)), frame, Limits()), frame, draw)
        if window.overlap((0, 0, frame.width, frame.height)) > Limits().same:
            # The chain refuses to show again what it shows already, so it is not trained as a look.
            return ANSWER.example(record, shown, draw)
        size = plan_size(*window.size, shown.budget)
        crop = Picture(overview.image, overview.root, size, window)
        asked = question(draw.dialect, record.question, record.choices).stated(shown.seen())
        words = ZoomWords(**draw.dialect.wording.zoom)
        messages, tools = zoom_conversation(None, asked, call, None, record.answer, draw.options.layout, words=words)
        return Example(messages, (overview, crop), tools=tools)

    def asks(self, record: Record, dialect: Dialect) -> Question:
        """Ask the question without the tool."""
        return question(dialect, record.question, record.choices)


TASK = Zoom()


def _whole_pixels(record: Record, frame: Frame) -> Window:
    window = Window.around(*record.regions[0]).clipped(frame.width, frame.height)
    if window.empty:
        raise Rejected("region outside the image", f"record {record.id!r}: region {record.regions[0]} shows nothing")
    return window


def _beside(window: Window, frame: Frame, draw: Draw) -> Window:
    """Return a window moved by up to the jitter, as the call of a model that is a little off would move it."""
    jitter = draw.options.crop_jitter
    if not jitter:
        return window
    across, down = (
        round(float(share) * side)
        for share, side in zip(draw.rng.uniform(-jitter, jitter, 2), window.size, strict=True)
    )
    return window.moved(
        min(max(across, -window.x1), frame.width - window.x2), min(max(down, -window.y1), frame.height - window.y2)
    )


def _called(window: Window, frame: Frame, shown: tuple[int, int], codec: Codec) -> tuple[Window, list[int]]:
    """Return the numbers of a call, and its window: grown where the coordinates of the overview round it to nothing."""
    grown, margin = window, 0
    while True:
        box = Boxes(np.array([grown], dtype=np.float64), "hbb", frame)
        call = codec.encode_box(box, frame.resized(*shown))
        if call[2] > call[0] and call[3] > call[1]:
            return grown, call
        margin = max(1, 2 * margin)
        grown = window.grown(margin).clipped(frame.width, frame.height)
