"""Windows drawn into an overview: every side where it lies, and nothing else of the picture touched."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from rscovlm.exports.drawing import COLOURS
from rscovlm.geometry import Frame
from rscovlm.geometry.window import Window
from rscovlm.zoom.drawing import draw_windows
from rscovlm.zoom.windows import ZoomView

GREY = (90, 90, 90)


def _view(window: tuple[int, int, int, int], size: tuple[int, int]) -> ZoomView:
    return ZoomView(Image.new("RGB", size, GREY), Frame(*size), Window(*window), 0, 1)


def _rgb(colour: str) -> tuple[int, ...]:
    return tuple(int(colour[place : place + 2], 16) for place in (1, 3, 5))


@pytest.mark.parametrize("window", [(500, 40, 900, 100), (20, 400, 60, 580), (300, 200, 301, 580), (0, 0, 1000, 600)])
def test_the_sides_of_a_window_lie_where_it_lies(window: tuple[int, int, int, int]) -> None:
    """Wide, tall, slim, and the whole, on an overview of half the size that begins away from the origin."""
    x0, y0 = 100, 50
    overview = _view((x0, y0, x0 + 1000, y0 + 600), (500, 300))
    moved = (window[0] + x0, window[1] + y0, window[2] + x0, window[3] + y0)
    pixels = np.asarray(draw_windows(overview, [_view(moved, (8, 8))]))
    left, top, right, bottom = (side // 2 for side in window)
    right, bottom = max(left, right - 1), max(top, bottom - 1)
    marked = (pixels == _rgb(COLOURS[0])).all(axis=2)
    assert marked[top : bottom + 1, left].all() and marked[top : bottom + 1, right].all()
    assert marked[top, left : right + 1].all() and marked[bottom, left : right + 1].all()
    # Beyond the rectangle and the plate of its number, which stands at its upper left corner, nothing changed.
    outside = np.ones(marked.shape, bool)
    outside[max(0, top - 30) : bottom + 3, max(0, left - 3) : max(right + 3, left + 40)] = False
    assert (pixels[outside] == GREY).all()
    # Half of a wide window is within it: the rectangle is not filled.
    if right - left > 60 and bottom - top > 60:
        assert (pixels[(top + bottom) // 2, (left + right) // 2] == GREY).all()


def test_windows_are_told_apart_by_their_colours_which_begin_again() -> None:
    overview = _view((0, 0, 400, 400), (400, 400))
    views = [_view((10 + 40 * place, 350, 20 + 40 * place, 390), (8, 8)) for place in range(len(COLOURS) + 1)]
    pixels = np.asarray(draw_windows(overview, views))
    found = [tuple(pixels[389, 10 + 40 * place].tolist()) for place in range(len(views))]
    assert found == [_rgb(colour) for colour in (*COLOURS, COLOURS[0])]
    assert (np.asarray(overview.image) == GREY).all()


@pytest.mark.parametrize("size", [(500, 200), (200, 500)])
def test_the_number_of_a_window_is_whole_wherever_the_window_lies(size: tuple[int, int]) -> None:
    """At each border as in the middle, on wide pictures and on high ones."""
    overview = _view((0, 0, *size), size)
    middle = size[0] // 2 - 5, size[1] // 2 - 5
    digits = []
    for x, y in [middle, (0, 0), (size[0] - 10, 0), (0, size[1] - 10), (size[0] - 10, size[1] - 10), (middle[0], 0)]:
        pixels = np.asarray(draw_windows(overview, [_view((x, y, x + 10, y + 10), (8, 8))]))
        digits.append(int((pixels.max(axis=2) < 60).sum()))
    # The digit is dark, and is drawn whole each time.
    assert len(set(digits)) == 1 and digits[0] > 3


def test_lines_and_numbers_grow_with_the_picture() -> None:
    """So that they are seen on large pictures: the line of a window is one in 250 of the longer side, two pixels at least."""
    for side, line in ((100, 2), (500, 2), (750, 3), (1000, 4)):
        for size in ((side, 60), (60, side)):
            overview = _view((0, 0, *size), size)
            pixels = np.asarray(draw_windows(overview, [_view((0, 0, *size), (8, 8))]))
            last = (pixels[size[1] - 30, :, :] == _rgb(COLOURS[0])).all(axis=1)
            assert last[-line:].all() and not last[-line - 1], (size, line)
