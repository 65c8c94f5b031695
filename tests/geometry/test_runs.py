"""Runs as COCO packs them: any lengths come back, and what is no code is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rscovlm.geometry.runs import pack, unpack


@given(st.lists(st.integers(0, 1 << 40), max_size=12))
def test_runs_of_any_length_come_back(runs: list[int]) -> None:
    text = pack(runs)
    assert unpack(text) == unpack(text.encode()) == runs
    assert all(48 <= ord(letter) < 112 for letter in text)


@pytest.mark.parametrize("text", ["1/", "p", "1 2", "~", "P" * 14 + "0"])
def test_what_is_no_code_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not part of a packed run"):
        unpack(text)


@pytest.mark.parametrize("text", ["P", "1o", "12PP"])
def test_a_text_that_ends_inside_a_run_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="ends inside a run"):
        unpack(text)
