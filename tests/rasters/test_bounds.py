"""What copies may take of the user's disk is what the pages promise."""

from __future__ import annotations

from pathlib import Path

import pytest

from rscovlm.rasters import tiled_copy, user_cache
from rscovlm.rasters.user_cache import make_room

PAGE = (Path(__file__).parents[2] / "docs/rasters.md").read_text(encoding="utf-8")


def test_the_page_states_the_bounds_of_both_kinds_of_copies() -> None:
    for bound in (user_cache.BOUND, tiled_copy.BOUND):
        assert f"{bound / 2**30:g} GiB" in PAGE
    assert (user_cache.BOUND, tiled_copy.BOUND) == (4 * 2**30, 16 * 2**30)


@pytest.mark.parametrize(
    ("bound", "left"), [(300, "abcd"), (299, "bcd"), (200, "bcd"), (199, "cd"), (100, "cd"), (99, "d"), (0, "d")]
)
def test_copies_that_were_not_used_for_longest_go_first(tmp_path: Path, bound: int, left: str) -> None:
    """The one just written stays, whatever its size, and files of other kinds are not touched."""
    import os

    for age, name in enumerate("abcd"):
        (tmp_path / f"{name}.copy").write_bytes(bytes(100 if name != "d" else 0))
        os.utime(tmp_path / f"{name}.copy", ns=(age * 10**9, age * 10**9))
    (tmp_path / "other.txt").write_bytes(bytes(1000))
    (tmp_path / "folder.copy").mkdir()
    make_room(tmp_path, ".copy", keep=tmp_path / "d.copy", bound=bound)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [*(f"{name}.copy" for name in left), "folder.copy", "other.txt"]
    )


def test_the_file_just_written_counts_and_no_bound_means_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, size in (("old.copy", 60), ("new.copy", 50)):
        (tmp_path / name).write_bytes(bytes(size))
    monkeypatch.setattr(user_cache, "BOUND", 110)
    make_room(tmp_path, ".copy", keep=tmp_path / "new.copy")
    assert (tmp_path / "old.copy").exists()
    monkeypatch.setattr(user_cache, "BOUND", 109)
    make_room(tmp_path, ".copy", keep=tmp_path / "new.copy")
    assert not (tmp_path / "old.copy").exists()
