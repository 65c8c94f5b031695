"""Positions of tokens held against counting one token at a time; notes and counts of batches by hand."""

from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rscovlm.training.batch_info import Notes
from rscovlm.training.positions import multimodal_positions
from rscovlm.training.subset_shares import SubsetCounts, log_name, summed

PIECE = st.integers(1, 5) | st.tuples(st.integers(1, 4), st.integers(1, 4))


@given(st.lists(PIECE, max_size=6), st.sampled_from([1, 2, 3]))
def test_positions_are_those_of_counting_token_by_token(pieces: list[int | tuple[int, int]], merge: int) -> None:
    # Text of so many tokens, or an image of so many rows and columns of tokens; images next to each other run together.
    visual, grids, expected, begin = [], [], [], 0
    for piece in pieces:
        if isinstance(piece, int):
            visual += [False] * piece
            expected += [(begin + k,) * 3 for k in range(piece)]
            begin += piece
        else:
            rows, columns = piece
            visual += [True] * (rows * columns)
            grids.append((1, rows * merge, columns * merge))
            expected += [(begin, begin + row, begin + column) for row, column in product(range(rows), range(columns))]
            begin += max(rows, columns)
    found = multimodal_positions(visual, grids, merge)
    assert found.dtype == torch.int64
    assert found.T.tolist() == [list(one) for one in expected]


@pytest.mark.parametrize(
    ("visual", "grids", "message"),
    [
        ([0, 1, 1], [], "image tokens from place 1 on, but only 0 images"),
        ([1, 1, 0, 1], [(1, 2, 4)], "image tokens from place 3 on, but only 1 images"),
        ([1, 0, 1], [(1, 2, 4)], "an image of 1 x 2 tokens does not end where its tokens do, at 2"),
        ([1, 1], [(1, 4, 6)], "an image of 2 x 3 tokens does not end where its tokens do, at 6"),
        ([0, 1, 1], [(1, 2, 4), (1, 2, 2)], "1 of 2 images have no tokens"),
    ],
)
def test_tokens_that_are_not_those_of_the_grids_are_refused(
    visual: list[bool], grids: list[tuple[int, int, int]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        multimodal_positions(visual, grids, 2)


def test_each_predicted_token_has_its_sample() -> None:
    packed = Notes(("a", "b", "c"), (5, 6, 7), (2, 3, 1), packed=True)
    assert packed.samples_of(torch.zeros(1, 6)).tolist() == [[0, 1, 1, 1, 2]]
    alone = Notes(("a", "b"), (5, 6), (2, 3), packed=False)
    assert alone.samples_of(torch.zeros(2, 4)).tolist() == [[0, 0, 0], [1, 1, 1]]


def test_counts_of_all_processes_make_the_shares() -> None:
    asked: list[int] = []

    def shares_at(position: int) -> dict[str, float]:
        asked.append(position)
        return {"sea ice": 0.25, "land": 0.5, "air": 0.25}

    counts = SubsetCounts(shares_at)
    for subset, tokens, position in (("land", 100, 4), ("sea ice", 30, 9), ("land", 20, 7)):
        counts.add(subset, tokens, position)
    mine = counts.taken()
    assert mine == {"land": [2, 120], "sea ice": [1, 30]}
    assert counts.taken() == {}
    assert summed([mine, {"land": [1, 50]}]) == {"land": [3, 170], "sea ice": [1, 30]}
    assert counts.shares([mine, {"land": [1, 50]}]) == {
        "share_asked/air": 0.25,
        "share_samples/air": 0.0,
        "share_tokens/air": 0.0,
        "share_asked/land": 0.5,
        "share_samples/land": 3 / 4,
        "share_tokens/land": 170 / 200,
        "share_asked/sea_ice": 0.25,
        "share_samples/sea_ice": 1 / 4,
        "share_tokens/sea_ice": 30 / 200,
    }
    assert asked == [9]  # the furthest position trained so far
    assert counts.shares([]) == {}
    unasked = SubsetCounts(None)
    assert unasked.shares([{"a": [1, 4]}, {"b": [3, 12]}]) == {
        "share_samples/a": 0.25,
        "share_tokens/a": 0.25,
        "share_samples/b": 0.75,
        "share_tokens/b": 0.75,
    }
    assert log_name("a b//c.d-e_f") == "a_b_c.d-e_f"
