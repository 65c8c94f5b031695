"""A far row is that of a walk from the first row, and a new process comes to it from the last stored state."""

import json
import multiprocessing
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from rscovlm.mixtures.mixture import Mixture, Subset
from rscovlm.training.packing import TOO_LONG, PackedMixture
from rscovlm.training.plan import LaneState
from rscovlm.training.stored_plans import APART, StoredPlans

BUDGET = 60


class Lengths(Sequence[Any]):
    """Samples that are their length, 1 to 70 tokens, and count how often they were drawn."""

    def __init__(self, size: int = 10**6, factor: int = 2_654_435_761) -> None:
        self.size, self.factor, self.drawn = size, factor, 0

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, position: Any) -> Any:
        self.drawn += 1
        return 1 + position * self.factor % 70


def _mixture(lengths: Sequence[Any]) -> Mixture:
    return Mixture([Subset("land", lengths, 3), Subset("sea", Lengths(999, 7_919), 1)], length=10**6)


def _packed(mixture: Any, plans: StoredPlans | None, rows: int | None = 100_000, **settings: Any) -> PackedMixture:
    given: dict[str, Any] = {"length": int, "budget": BUDGET, "lookahead": 16} | settings
    return PackedMixture(mixture, rows=rows, plans=plans, **given)


@pytest.mark.parametrize("subsets", [False, True])
@pytest.mark.parametrize("lanes", [1, 3])
def test_a_far_row_is_that_of_a_walk(tmp_path: Path, lanes: int, subsets: bool) -> None:
    def mixture(lengths: Lengths) -> Any:
        return _mixture(lengths) if subsets else lengths

    walk = _packed(mixture(Lengths()), None, lanes=lanes)
    rows = [walk[row] for row in range(600 * lanes)]
    first = _packed(mixture(Lengths()), StoredPlans(tmp_path, of="a"), lanes=lanes)
    for lane in range(lanes):
        assert first.pack(lanes * 599 + lane) == walk.pack(lanes * 599 + lane)
    for row in (0, lanes * 127, lanes * 128, lanes * 500 + 1, lanes * 597, lanes * 599):
        lengths = Lengths()
        fresh = _packed(mixture(lengths), StoredPlans(tmp_path, of="a"), lanes=lanes)
        assert fresh[row] == rows[row]
        assert fresh.pack(min(row + lanes, lanes * 599)) == walk.pack(min(row + lanes, lanes * 599))


def test_the_cost_of_a_far_row_is_bounded(tmp_path: Path) -> None:
    _packed(Lengths(), StoredPlans(tmp_path, of="a")).pack(6_000)
    most = {}
    for place in (300, 2_000, 5_999):
        lengths = Lengths()
        packed = _packed(lengths, StoredPlans(tmp_path, of="a"))
        packed.pack(place)
        most[place] = lengths.drawn
    # About two samples fill a row; each is drawn once, those too long also, and some that wait twice, to see that they are the same.
    assert max(most.values()) <= 4 * APART + 3 * 16
    # A lane that is far behind jumps too, and comes back.
    packed = _packed(lengths := Lengths(), StoredPlans(tmp_path, of="a"))
    walk = _packed(Lengths(), None)
    found = [packed.pack(row) for row in (3, 5_000, 40, 5_001)]
    assert lengths.drawn <= 4 * (4 * APART + 3 * 16)
    assert found == [walk.pack(row) for row in (3, 5_000, 40, 5_001)]


def test_one_pass_is_counted_once(tmp_path: Path) -> None:
    first = _packed(lengths := Lengths(5_000), StoredPlans(tmp_path, of="a"), rows=None)
    assert lengths.drawn == 5_000
    again = _packed(lengths := Lengths(5_000), StoredPlans(tmp_path, of="a"), rows=None)
    assert len(again) == len(first) == len(_packed(Lengths(5_000), None, rows=None))
    assert lengths.drawn <= 16
    assert again[len(again) - 1] == _packed(Lengths(5_000), None, rows=None)[len(again) - 1]
    # The same number of other samples.
    other = _packed(Lengths(5_000, 7_919), StoredPlans(tmp_path, of="a"), rows=None)
    assert len(other) == len(_packed(Lengths(5_000, 7_919), None, rows=None))


def test_states_of_other_data_or_settings_are_not_used(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    _packed(Lengths(), StoredPlans(tmp_path, of="a")).pack(2_000)
    other = Lengths(factor=7_919)
    assert _packed(other, StoredPlans(tmp_path, of="b")).pack(1_999) == _packed(other, None).pack(1_999)
    assert not caplog.records
    assert _packed(other, StoredPlans(tmp_path, of="a")).pack(1_999) == _packed(other, None).pack(1_999)
    assert "the stored plan is of other data: the sample at position" in caplog.text
    for settings in ({"budget": 61}, {"lookahead": 15}, {"lanes": 2}):
        _packed(Lengths(), StoredPlans(tmp_path, of="c"), **settings).pack(1_000)
    for settings in ({}, {"budget": 61}, {"lookahead": 15}, {"lanes": 2}):
        found = _packed(Lengths(), StoredPlans(tmp_path, of="c"), **settings).pack(999)
        assert found == _packed(Lengths(), None, **settings).pack(999)


def test_what_is_dropped_is_counted_as_in_a_walk(tmp_path: Path) -> None:
    walk = _packed(Lengths(), None)
    walk.pack(3_000)
    _packed(Lengths(), StoredPlans(tmp_path, of="a")).pack(3_000)
    fresh = _packed(Lengths(), StoredPlans(tmp_path, of="a"))
    fresh.pack(3_000)
    assert fresh.dropped == walk.dropped and walk.dropped[TOO_LONG] > 100


def test_damaged_states_are_passed_over(tmp_path: Path) -> None:
    _packed(Lengths(), StoredPlans(tmp_path, of="a")).pack(1_000)
    files = sorted(tmp_path.glob("*/lane*.json"))
    assert len(files) == 7
    last = max(files, key=lambda path: int(path.stem.split("packs")[1]))
    for text in ("", "{", "[]", '{"state": 3}', last.read_text().replace('"lane": 0', '"lane": 5'), "\0" * 100):
        last.write_text(text)
        assert _packed(Lengths(), StoredPlans(tmp_path, of="a")).pack(950) == _packed(Lengths(), None).pack(950)


def test_a_full_disk_ends_no_plan(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    plans = StoredPlans(tmp_path, of="a")
    packed = _packed(Lengths(), plans)
    plans._folder = tmp_path / "missing" / "folder"  # where no file can be made
    assert packed.pack(300) == _packed(Lengths(), None).pack(300)
    assert "the plan is not stored in" in caplog.text


def test_a_folder_of_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="was not made by rscovlm for plan"):
        StoredPlans(tmp_path, of="a")
    with pytest.raises(ValueError, match="name the data"):
        StoredPlans(tmp_path / "new", of="")


def _plan(folder: Path) -> None:
    _packed(Lengths(), StoredPlans(folder, of="a")).pack(1_500)


def test_several_processes_may_store_one_plan(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_plan, args=(tmp_path,)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert len(list(tmp_path.glob("*/lane*.json"))) == 1_500 // APART
    assert not list(tmp_path.glob("*/*.part"))
    script = (
        "import json, sys\nfrom pathlib import Path\nfrom tests.training.test_stored_plans import Lengths, StoredPlans, _packed\n"
        "packed = _packed(lengths := Lengths(), StoredPlans(sys.argv[1], of='a'))\n"
        "print(json.dumps([packed.pack(1_499).positions, lengths.drawn]))"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    positions, drawn = json.loads(done.stdout)
    assert tuple(positions) == _packed(Lengths(), None).pack(1_499).positions
    assert drawn <= 4 * APART + 3 * 16


def test_a_state_is_stored_once(tmp_path: Path) -> None:
    plans = StoredPlans(tmp_path, of="a")
    plans.save(LaneState(2, packs=APART, next=9))
    file = next(tmp_path.glob("*/lane2-packs128.json"))
    before = file.stat().st_mtime_ns
    plans.save(LaneState(2, packs=APART, next=9))
    assert file.stat().st_mtime_ns == before
