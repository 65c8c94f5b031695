"""Windows over an image, and tiles that show nothing."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from rscovlm.geometry.tiling import flat, tiles, window_starts


@given(st.integers(1, 60), st.integers(1, 25), st.data())
def test_windows_cover_a_side_with_no_more_steps_than_needed(length: int, tile: int, data: st.DataObject) -> None:
    overlap = data.draw(st.integers(0, tile - 1))
    starts = window_starts(length, tile, overlap)
    ends = [min(start + tile, length) for start in starts]
    assert starts[0] == 0 and ends[-1] == length
    steps = np.diff(starts)
    assert (steps > 0).all() and (steps <= tile - overlap).all()
    assert (steps[:-1] == tile - overlap).all()  # only the last one is moved back


def test_windows_go_row_by_row() -> None:
    assert list(tiles(5, 7, 4, 1)) == [(0, 0, 4, 4), (1, 0, 5, 4), (0, 3, 4, 7), (1, 3, 5, 7)]


@pytest.mark.parametrize(("tile", "overlap"), [(0, 0), (-3, 0), (5, -1), (5, 5), (5, 6)])
def test_windows_that_do_not_advance_are_refused(tile: int, overlap: int) -> None:
    with pytest.raises(ValueError, match="give tile >= 1 and 0 <= overlap < tile"):
        window_starts(100, tile, overlap)


def test_a_tile_is_flat_where_no_band_varies() -> None:
    pixels = np.full((8, 8, 3), 90, np.uint8)
    pixels[:4, :, 1] += 4  # a standard deviation of 2 in one band
    tile = Image.fromarray(pixels)
    assert flat(tile) and not flat(tile, spread=1.9)
    pixels[:4, :, 2] += 6
    assert not flat(Image.fromarray(pixels)) and flat(Image.fromarray(pixels), spread=3)
