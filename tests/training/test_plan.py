"""A plan of rows that is put down and taken up again goes on as if it had not been, at the same cost at any row."""

import hashlib
import json
import multiprocessing
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from torch.utils.data import DataLoader

from rscovlm.training.packing import TOO_LONG, PackedMixture
from rscovlm.training.plan import Lane, LaneState
from rscovlm.training.sft import as_dataset

BUDGET = 60


class Counted(Sequence[Any]):
    """Samples of 1 to 70 tokens that say how often they were drawn, in whichever process."""

    def __init__(self) -> None:
        self.drawn = multiprocessing.Value("q", 0)

    def __len__(self) -> int:
        return 100_000_000

    def __getitem__(self, position: Any) -> Any:
        with self.drawn.get_lock():
            self.drawn.value += 1
        return {"position": position, "tokens": 1 + position * 2_654_435_761 % 70}

    def taken(self) -> int:
        """Return the draws since it was asked last."""
        drawn = int(self.drawn.value)
        self.drawn.value = 0
        return drawn


def _packed(samples: Counted, rows: int, lanes: int = 1, lookahead: int = 16) -> PackedMixture:
    return PackedMixture(
        samples, length=lambda s: int(s["tokens"]), budget=BUDGET, lookahead=lookahead, rows=rows, lanes=lanes
    )


def _digest(row: Any) -> str:
    plain = {**row, "plan": row["plan"].to_dict()}
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


@pytest.mark.parametrize("lanes", [1, 3, 8])
def test_rows_after_a_pause_are_those_without(lanes: int) -> None:
    whole = _packed(Counted(), 120, lanes)
    rows = [whole[row] for row in range(120)]
    for paused in (0, 1, 7, 24, 63):
        # As JSON, from the last row of each lane before the pause; lanes that had none begin.
        states = {row["plan"].lane: json.dumps(row["plan"].to_dict()) for row in rows[:paused]}
        resumed = _packed(Counted(), 120, lanes)
        resumed.resume(LaneState.from_dict(json.loads(text)) for text in states.values())
        assert [_digest(resumed[row]) for row in range(paused, 120)] == [_digest(row) for row in rows[paused:]]
    dropped = sum(row["dropped"].get(TOO_LONG, 0) for row in rows)
    assert dropped == whole.dropped[TOO_LONG] > 0


def test_no_sample_is_used_twice_and_all_are_of_their_lane() -> None:
    packed = _packed(Counted(), 400, lanes=4)
    used = [position for row in range(400) for position in packed.pack(row).positions]
    assert len(used) == len(set(used))
    assert all(position % 4 == row % 4 for row in range(400) for position in packed.pack(row).positions)


def test_going_on_costs_the_same_at_any_row() -> None:
    whole, drawn = _packed(Counted(), 100_020, lookahead=8), {}
    for step in (10, 100_000):
        state = whole[step - 1]["plan"]
        samples = Counted()
        resumed = _packed(samples, 100_020, lookahead=8)
        resumed.resume([LaneState.from_dict(json.loads(json.dumps(state.to_dict())))])
        positions = [resumed[row]["positions"] for row in range(step, step + 10)]
        drawn[step] = samples.taken()
        assert positions == [list(whole.pack(row).positions) for row in range(step, step + 10)]
        # What the rows hold, what waits behind them, and what was too long: nothing of the rows before.
        held = sum(map(len, positions))
        lost = resumed[step + 9]["plan"].dropped[TOO_LONG] - state.dropped[TOO_LONG]
        assert held <= drawn[step] <= held + 8 + lost
        size = len(json.dumps(state.to_dict()))
        assert size < 300, "the state does not grow with the run"


def test_the_first_rows_may_be_asked_for_again() -> None:
    whole = _packed(Counted(), 300, lanes=2)
    rows = [_digest(whole[row]) for row in range(300)]
    assert [_digest(whole[row]) for row in (0, 1, 299, 5, 4)] == [rows[row] for row in (0, 1, 299, 5, 4)]
    whole.resume([whole[200]["plan"]])
    assert [_digest(whole[row]) for row in (202, 3, 200, 298)] == [rows[row] for row in (202, 3, 200, 298)]


@pytest.mark.parametrize(("lanes", "planners"), [(1, 2), (4, 1)])
def test_workers_plan_what_they_load(lanes: int, planners: int) -> None:
    samples = Counted()
    packed = _packed(samples, 40, lanes)
    rows = DataLoader(as_dataset(packed), batch_size=1, num_workers=2, collate_fn=lambda rows: rows[0])
    found = list(rows)
    drawn = samples.taken()
    alone = _packed(samples, 40, lanes)
    assert [row["positions"] for row in found] == [alone[row]["positions"] for row in range(40)]
    once = samples.taken()
    # With one lane each of the two workers walks the whole mixture; with a lane for each there is nothing done twice.
    # (A worker that has handed out its last row of the one lane has walked less far than the other.)
    assert once * planners * 0.9 <= drawn <= once * planners


def test_what_is_no_state_is_refused() -> None:
    for content in (None, {}, {"lane": 0}, {"lane": 0, "packs": 1, "next": 2, "waiting": [3], "dropped": {}}):
        with pytest.raises(ValueError, match="no state of a lane"):
            LaneState.from_dict(content)
    with pytest.raises(ValueError, match="position -1"):
        LaneState(0, next=-1)
    with pytest.raises(ValueError, match="has a lane 4, this mixture has 4"):
        _packed(Counted(), 4, 4).resume([LaneState(4)])


def test_a_lane_takes_the_one_that_waited_longest_first() -> None:
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, BUDGET + 1, 500).tolist()
    lane = Lane(lambda i: ([lengths[i]], Counter()), LaneState(0), own=int, end=500, budget=BUDGET, lookahead=20)
    seen: set[int] = set()
    for _ in range(100):
        waiting = sorted(entry[1] for entry in lane.state().waiting)
        positions = lane.plan().positions
        assert positions[0] == (waiting[0] if waiting else 0)
        assert seen.isdisjoint(positions)
        seen.update(positions)


def test_a_lane_does_not_look_for_ever_for_what_fits() -> None:
    lane = Lane(
        lambda _: ([], Counter(["longer than the token budget"])),
        LaneState(0),
        own=int,
        end=10**9,
        budget=24,
        lookahead=2,
    )
    with pytest.raises(
        ValueError, match=r"none of 20000 samples .* row of 24 tokens \(20000 longer than the token budget\)"
    ):
        lane.plan()
