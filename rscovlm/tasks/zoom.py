"""Zooming: a question whose answer needs a closer look, and the region to look at (paper, equation 5)."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

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
from rscovlm.zoom.layouts import ZoomWords, looks_conversation
from rscovlm.zoom.windows import Limits, enclose

Region = tuple[float, float, float, float]


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
        """Look at the region and answer; where each region lies in the one before, look at them in turn, ever closer.

        Several regions apart are answered without the tool, as is a region that is no closer than what is shown.
        """
        regions = nested_regions(record)
        if not regions or draw.rng.random() < draw.options.direct_rate:
            return ANSWER.example(record, shown, draw)
        frame, overview = shown.frames[0], shown.pictures[0]
        seen = frame.resized(*overview.size)
        windows, crops, calls = [Window.whole(frame.width, frame.height)], list[Picture](), list[list[int]]()
        for region in regions:
            window, call = _called(_whole_pixels(record, region, frame), frame, seen, draw.dialect.codec)
            window = _beside(enclose(list(map(float, window)), frame, Limits()), frame, draw)
            if any(window.overlap(former) > Limits().same for former in windows):
                # The chain refuses to show again what it shows already, so it is not trained as a look.
                break
            size = plan_size(*window.size, shown.budget)
            windows.append(window)
            calls.append(call)
            crops.append(Picture(overview.image, overview.root, size, window))
            seen = frame.cropped(*window).resized(*size)
        if not calls:
            return ANSWER.example(record, shown, draw)
        asked = question(draw.dialect, record.question, record.choices).stated(shown.seen())
        words = ZoomWords(**draw.dialect.wording.zoom)
        looks = [(call, None) for call in calls]
        messages, tools = looks_conversation(None, asked, looks, record.answer, draw.options.layout, words=words)
        return Example(messages, (overview, *crops), tools=tools)

    def asks(self, record: Record, dialect: Dialect) -> Question:
        """Ask the question without the tool."""
        return question(dialect, record.question, record.choices)


TASK = Zoom()


def nested_regions(record: Record) -> tuple[Region, ...]:
    """Return the regions to look at in turn: the only one, or several of which each lies in the one before; none where they lie apart."""
    for (x1, y1, x2, y2), inner in pairwise(record.regions):
        if not (x1 <= inner[0] and y1 <= inner[1] and inner[2] <= x2 and inner[3] <= y2):
            return ()
    return record.regions


def _whole_pixels(record: Record, region: Region, frame: Frame) -> Window:
    window = Window.around(*region).clipped(frame.width, frame.height)
    if window.empty:
        raise Rejected("region outside the image", f"record {record.id!r}: region {region} shows nothing")
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


def _called(window: Window, frame: Frame, seen: Frame, codec: Codec) -> tuple[Window, list[int]]:
    """Return the numbers of a call on what is seen, and its window: grown where they would round it to nothing."""
    grown, margin = window, 0
    while True:
        box = Boxes(np.array([grown], dtype=np.float64), "hbb", frame)
        call = codec.encode_box(box, seen)
        if call[2] > call[0] and call[3] > call[1]:
            return grown, call
        margin = max(1, 2 * margin)
        grown = window.grown(margin).clipped(frame.width, frame.height)
