"""Reading rows ahead changes neither samples nor what is counted, for any source."""

import itertools
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from datasets import Dataset

from rscovlm.mixtures.mixture import Mixture, Subset
from rscovlm.mixtures.read_ahead import AHEAD, OwnPositions, ReadAhead
from rscovlm.mixtures.weight_stages import Stages
from rscovlm.records.tally import Rejected
from rscovlm.training.packing import PackedMixture
from rscovlm.training.plan import LaneState


def _render(row: Any, rng: np.random.Generator) -> Any:
    if row["id"] % 17 == 3:
        raise Rejected("no boxes", f"row {row['id']}")
    return {"id": row["id"], "noise": int(rng.integers(1 << 30)), "tokens": 1 + row["id"] % 40}


class Broken(Sequence[Any]):
    """Rows of which one cannot be read, in a batch or alone."""

    reads = 0

    def __len__(self) -> int:
        return 50

    def __getitem__(self, index: Any) -> Any:
        if index == 7:
            raise ValueError("row 7 is cut")
        return {"id": index}

    def __getitems__(self, indices: list[int]) -> list[Any]:
        self.reads += 1
        return [self[index] for index in indices]


def _mixture(weight: float = 2.0) -> Mixture:
    subsets = [
        Subset("table", Dataset.from_dict({"id": list(range(300))}), weight, _render),
        Subset("plain", [{"id": number} for number in range(90)], 1.0, _render),
        Subset("made", lambda rng: {"id": int(rng.integers(99))}, 1.0, _render),
        Subset("broken", Broken(), 1.0, _render),
    ]
    return Mixture(subsets, seed=4, length=1200, tolerate=0.5)


def _made() -> dict[str, Any]:
    return {"one mixture": _mixture(), "stages": Stages([(500, _mixture()), (700, _mixture(5.0))])}


@pytest.mark.parametrize("name", ["one mixture", "stages"])
def test_samples_and_what_is_dropped_at_each_position_are_those_of_one_by_one(name: str) -> None:
    alone, read = _made()[name], _made()[name]
    own = OwnPositions(lambda position: True, len(read))
    ahead = ReadAhead(read, own.following, count=50)
    for position in range(len(read)):
        assert ahead.draw(position) == alone[position]
        assert read.dropped == alone.dropped
    assert set(alone.dropped) == {"no boxes", "malformed row"}


def test_rows_that_only_come_one_after_another_are_refused_with_what_to_do() -> None:
    streamed = Dataset.from_dict({"tokens": [1, 2, 3]}).to_iterable_dataset()
    for made in (
        lambda: Mixture([Subset("a", streamed)]),
        lambda: PackedMixture(streamed, length=int, budget=9, rows=3),
    ):
        with pytest.raises(
            TypeError, match="IterableDataset, which has no rows by number; give a list or a datasets.Dataset"
        ):
            made()


def test_walking_in_order_reads_many_rows_at_a_time_and_gives_those_of_one_by_one() -> None:
    walked, single = _mixture(), _mixture()
    found = list(itertools.islice(walked, 700))
    assert found == [single[position] for position in range(700)]
    assert walked.dropped == single.dropped


def test_sources_are_read_many_rows_at_a_time() -> None:
    source = Broken()
    rows = Mixture([Subset("broken", source, cap=7)], length=10 * AHEAD)
    own = OwnPositions(lambda position: True, len(rows))
    ahead = ReadAhead(rows, own.following)
    samples = [ahead.draw(position) for position in range(len(rows))]
    assert samples == list(rows)
    # A batch asks once for each pass over the seven rows.
    assert source.reads <= 10 * (AHEAD // 7 + 2)


@pytest.mark.parametrize("lanes", [1, 3])
def test_packed_rows_and_their_drops_are_exact_after_a_pause(lanes: int) -> None:
    def packed() -> PackedMixture:
        return PackedMixture(
            _mixture(), length=lambda sample: int(sample["tokens"]), budget=100, lookahead=16, rows=90, lanes=lanes
        )

    whole = packed()
    rows = [whole[row] for row in range(90)]
    drops = sum((Counter(row["dropped"]) for row in rows), Counter[str]())
    assert drops["no boxes"] > 10
    for paused in (5, 31, 60):
        again = packed()
        states = {row["plan"].lane: row["plan"].to_dict() for row in rows[:paused]}
        again.resume(LaneState.from_dict(state) for state in states.values())
        for row in range(paused, 90):
            found = again[row]
            assert (found["samples"], found["dropped"]) == (rows[row]["samples"], rows[row]["dropped"])


def test_own_positions_are_those_of_a_walk_from_anywhere() -> None:
    rng = random.Random(0)
    mine = {position for position in range(200) if rng.random() < 0.2}
    own = OwnPositions(mine.__contains__, 200)
    for _ in range(300):
        position, count = rng.randrange(201), rng.randrange(1, 9)
        rest = sorted(place for place in mine if place >= position)
        assert own.following(position, count) == rest[:count]
        assert own.first(position) == (rest[0] if rest else 200)
