"""The window of the original that a region becomes: what it must hold, and what it may add."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rscovlm.geometry import Frame
from rscovlm.processing import PixelBudget
from rscovlm.rasters import open_image
from rscovlm.zoom.windows import Limits, enclose, show, squeezed

SIDE = st.integers(30, 3000)
SHARE = st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted).filter(lambda pair: pair[1] - pair[0] > 1e-3)


@given(SIDE, SIDE, SHARE, SHARE, st.sampled_from([1, 28]), st.sampled_from([4.0, 7.5, 20.0]))
def test_a_window_holds_its_region_and_adds_no_more_than_the_limits_ask(
    width: int, height: int, across: list[float], down: list[float], min_side: int, max_aspect: float
) -> None:
    box = [across[0] * width, down[0] * height, across[1] * width, down[1] * height]
    window = enclose(box, Frame(width, height), Limits(min_side=min_side, max_aspect=max_aspect))
    assert 0 <= window.x1 <= box[0] and box[2] <= window.x2 <= width
    assert 0 <= window.y1 <= box[1] and box[3] <= window.y2 <= height
    whole = math.ceil(box[2]) - math.floor(box[0]), math.ceil(box[3]) - math.floor(box[1])
    least = max(min_side, math.ceil(max(whole) / max_aspect))
    assert window.size == (max(whole[0], min(least, width)), max(whole[1], min(least, height)))


@pytest.mark.parametrize(
    ("box", "window"),
    [
        ([100.2, 50.0, 105.8, 90.0], (89, 50, 117, 90)),  # too narrow: as much on either side
        ([0.5, 50.0, 4.5, 90.0], (0, 50, 28, 90)),  # at the left border there is room on the right alone
        ([396.0, 50.0, 400.0, 90.0], (372, 50, 400, 90)),
        ([100.0, 297.5, 150.0, 299.0], (100, 272, 150, 300)),
        ([10.0, 20.0, 60.0, 70.0], (10, 20, 60, 70)),
    ],
)
def test_context_lies_on_both_sides_where_there_is_room(box: list[float], window: tuple[int, ...]) -> None:
    assert enclose(box, Frame(400, 300), Limits()) == window


@given(st.integers(1, 10**5), st.integers(1, 10**5))
def test_only_what_is_too_slim_is_squeezed(width: int, height: int) -> None:
    longest, shortest = max(width, height), min(width, height)
    kept = min(longest, 200 * shortest)
    assert squeezed(width, height) == ((kept, height) if width >= height else (width, kept))


@pytest.mark.parametrize(
    ("window", "tokens", "size"),
    [
        ((10, 20, 130, 110), 100, (120, 90)),  # as it is: the processor resizes it as in training
        (None, 1000, (224, 168)),  # more pixels than the model may see: read at the planned size
        ((10, 20, 130, 110), 6, (56, 56)),  # fewer tokens are left than it costs
        ((0, 50, 400, 51), 100, None),  # too slim to be handed over as it is
    ],
)
def test_a_window_is_read_as_it_is_where_that_costs_no_more(
    window: tuple[int, int, int, int] | None, tokens: int, size: tuple[int, int] | None
) -> None:
    raster = open_image(np.random.default_rng(0).integers(0, 255, (270, 400, 3), dtype=np.uint8))
    budget = PixelBudget(min_pixels=28 * 28, max_pixels=252 * 168, factor=28)
    view = show(raster, window, 0, budget, tokens)
    assert view is not None and view.tokens <= tokens
    if size is None:
        assert max(view.image.size) / min(view.image.size) <= 200
    else:
        assert view.image.size == size
