"""Windows held against the set of pixels that they hold."""

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from rscovlm.geometry.window import Window

EDGE = st.integers(-9, 9)
WINDOW = st.builds(Window, EDGE, EDGE, EDGE, EDGE)


def _pixels(window: Window) -> set[tuple[int, int]]:
    return set(product(range(window.x1, window.x2), range(window.y1, window.y2)))


@given(WINDOW, WINDOW)
def test_areas_and_overlaps_count_pixels(one: Window, other: Window) -> None:
    mine, theirs = _pixels(one), _pixels(other)
    assert one.area == len(mine)
    assert one.empty == (not mine)
    assert _pixels(one.shared(other)) == mine & theirs
    assert one.overlap(other) == (len(mine & theirs) / len(mine | theirs) if mine | theirs else 0.0)


@given(WINDOW, st.integers(0, 12), st.integers(0, 7))
def test_clipping_keeps_the_pixels_of_the_image(window: Window, width: int, height: int) -> None:
    assert _pixels(window.clipped(width, height)) == _pixels(window) & _pixels(Window.whole(width, height))


@given(WINDOW, st.integers(-5, 5), st.integers(6, 11))
def test_moving_takes_every_pixel_along(window: Window, x: int, y: int) -> None:
    assert _pixels(window.moved(x, y)) == {(column + x, row + y) for column, row in _pixels(window)}


def test_growing_reaches_as_far_on_each_side() -> None:
    assert Window(3, 5, 20, 11).grown(2) == (1, 3, 22, 13)
    assert Window(3, 5, 20, 11).grown(-2) == (5, 7, 18, 9)


def test_sides_are_not_taken_for_each_other() -> None:
    window = Window(3, 5, 20, 11)
    assert (window.width, window.height, window.size) == (17, 6, (17, 6))
    assert Window.whole(7, 4) == (0, 0, 7, 4)
    assert Window.around(-0.5, 1.25, 3.0, 4.5) == (-1, 1, 3, 5)
