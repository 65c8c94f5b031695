"""A mixture depends on seed and position alone, and keeps its shares exactly."""

from collections import Counter
from typing import Any

import numpy as np
import pytest

from rscovlm.mixtures.mixture import Mixture, Subset
from rscovlm.mixtures.quotas import BLOCK
from rscovlm.mixtures.weight_stages import Stages
from rscovlm.records.tally import Rejected


def _mixture(seed: int = 3) -> Mixture:
    return Mixture(
        [
            Subset("small", list(range(7)), 0.5),
            Subset("large", list(range(100, 2500)), 2.25),
            Subset("made", lambda rng: float(rng.random()), 1.0),
        ],
        seed=seed,
        length=100_000,
    )


def test_shares_match_the_weights() -> None:
    mixture = _mixture()
    drawn = Counter(mixture.subset_at(i)[0].name for i in range(100_000))
    weights = {"small": 0.5, "large": 2.25, "made": 1.0}
    for name, weight in weights.items():
        assert drawn[name] / 100_000 == pytest.approx(weight / 3.75, abs=0.001)
        assert mixture.shares()[name] == pytest.approx(drawn[name] / 100_000, abs=1e-12)


def test_any_order_of_access_gives_the_same_samples() -> None:
    forward = [_mixture()[i] for i in range(300)]
    mixture = _mixture()
    assert [mixture[i] for i in reversed(range(300))] == forward[::-1]
    assert [_mixture(seed=4)[i] for i in range(300)] != forward


def test_the_order_is_that_of_earlier_versions() -> None:
    # A run that resumes with a later version must be given what is left of its mixture: these values must not change.
    mixture = _mixture()
    s, g, m = "small", "large", "made"
    names = [g, m, g, g, s, g, m, g, g, m, s, g, g, g, m, m]
    assert [mixture.subset_at(i)[0].name for i in range(16)] == names
    assert [mixture.subset_at(i)[1] for i in range(16)] == [names[:i].count(name) for i, name in enumerate(names)]
    rows = [mixture[i] for i in range(16) if names[i] != m]
    assert rows == [2315, 263, 1272, 2, 1555, 1796, 892, 1, 1331, 104, 2055]
    # Numbers of a generated item come from numpy's generator, whose streams stay the same by its own promise.
    assert mixture[1] == pytest.approx(0.6315470986343799, abs=1e-15)


def test_no_row_repeats_before_all_were_seen() -> None:
    mixture = _mixture()
    rows = [mixture[i] for i in range(12 * BLOCK) if mixture.subset_at(i)[0].name == "large"]
    ordinals = [mixture.subset_at(i)[1] for i in range(12 * BLOCK) if mixture.subset_at(i)[0].name == "large"]
    assert sorted(ordinals) == list(range(len(rows)))
    by_ordinal = [row for _, row in sorted(zip(ordinals, rows, strict=True))]
    for start in range(0, len(rows) - 2400, 2400):
        assert sorted(by_ordinal[start : start + 2400]) == list(range(100, 2500))


def test_a_position_far_away_works() -> None:
    mixture = Mixture([Subset("a", ["x"], 1), Subset("b", ["y"], 1)], seed=0, length=10**10)
    assert mixture[10**9] in {"x", "y"}


def test_a_tiny_weight_still_appears() -> None:
    mixture = Mixture([Subset("rare", ["r"], 1e-9), *(Subset(f"s{i}", ["x"], 1.0) for i in range(999))], length=BLOCK)
    assert Counter(mixture)["r"] == 1
    assert sum(mixture.shares().values()) == pytest.approx(1.0)


@pytest.mark.parametrize("weights", [[1.0] + [1e-9] * 200, [1e308] * 3, [5e-324, 1.0, 1.0], [0.1, *[1e-5] * 60, 7.3]])
def test_odd_weights_keep_their_shares_to_a_point(weights: list[float]) -> None:
    mixture = Mixture([Subset(str(i), ["x"], weight) for i, weight in enumerate(weights)], length=100_000)
    drawn = Counter(mixture.subset_at(i)[0].name for i in range(100_000))
    scaled = [weight / max(weights) for weight in weights]
    for name, weight in enumerate(scaled):
        assert drawn[str(name)] / 100_000 == pytest.approx(weight / sum(scaled), abs=0.01)


def test_rows_come_in_passes_through_stages_and_changes() -> None:
    def made(weight: float) -> Mixture:
        return Mixture([Subset("a", range(37), weight), Subset("b", ["-"], 1.0)], seed=3, length=9000)

    stages = Stages([(1234, made(1)), (2001, made(0)), (3000, made(0.3))])
    stages.change(4321, {"a": 2.0})
    rows = [row for row in stages if row != "-"]
    assert len(rows) > 1500
    for start in range(0, len(rows) - 37, 37):
        assert sorted(rows[start : start + 37]) == list(range(37))


def test_generated_items_differ_by_position() -> None:
    made = [item for item in (_mixture()[i] for i in range(2000)) if isinstance(item, float)]
    assert len(set(made)) == len(made)
    assert abs(np.mean(made) - 0.5) < 0.05


@pytest.mark.parametrize(
    ("subsets", "message"),
    [
        ([Subset("a", [1], 0.0)], "no subset has a positive weight"),
        ([Subset("a", [1]), Subset("a", [2])], "names must differ"),
    ],
)
def test_a_mixture_of_nothing_is_refused(subsets: list[Subset], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Mixture(subsets)


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_weights_must_be_usable(weight: float) -> None:
    with pytest.raises(ValueError, match="weight of subset 'a'"):
        Subset("a", [1], weight)


def test_an_empty_subset_is_refused() -> None:
    with pytest.raises(ValueError, match="'empty' has no rows"):
        Subset("empty", [], 1.0)


def test_a_refused_item_names_subset_and_position() -> None:
    def refuse(item: object, rng: np.random.Generator) -> object:
        raise ValueError(f"row {item} has no answer")

    with pytest.raises(ValueError, match="subset 'a' at position 5: .*row 1 has no answer"):
        Mixture([Subset("a", [1], render=refuse)])[5]


def _picky(item: int, rng: np.random.Generator) -> int:
    if item % 50 == 0:
        raise ValueError(f"row {item} is torn")
    return item


def test_unusable_rows_are_replaced_and_counted() -> None:
    mixture = Mixture([Subset("a", range(1000), render=_picky)], length=5000, tolerate=0.05)
    drawn = [mixture[i] for i in range(3000)]
    assert all(item % 50 for item in drawn)
    assert mixture.tally.kept == 3000
    assert 0.01 < mixture.tally.dropped.total() / 3000 < 0.03
    again = Mixture([Subset("a", range(1000), render=_picky)], length=5000, tolerate=0.05)
    assert [again[i] for i in reversed(range(3000))] == drawn[::-1]


def test_too_many_unusable_rows_stop_the_run_with_the_table() -> None:
    mixture = Mixture([Subset("a", range(1000), render=_picky)], length=5000, tolerate=0.005)
    with pytest.raises(ValueError, match="cannot be used, more than 0.50%"):
        for i in range(3000):
            mixture[i]


def test_a_cap_keeps_to_the_first_rows() -> None:
    mixture = Mixture([Subset("a", range(1000), cap=10)], length=100)
    assert set(mixture) == set(range(10))


@pytest.mark.parametrize("tolerate", [0.0, 0.9])
def test_a_mistake_in_a_renderer_ends_the_run(tolerate: float) -> None:
    def mistaken(item: int, rng: np.random.Generator) -> Any:
        return item.capitalise()  # type: ignore[attr-defined]

    mixture = Mixture([Subset("a", range(10), render=mistaken)], length=100, tolerate=tolerate)
    with pytest.raises(AttributeError, match="capitalise"):
        mixture[0]
    assert not mixture.dropped


def test_rows_that_cannot_be_used_keep_their_cause() -> None:
    def refused(item: int, rng: np.random.Generator) -> Any:
        raise Rejected("odd", f"item {item} is odd")

    for tolerate in (0.0, 0.1):
        mixture = Mixture([Subset("a", range(10), render=refused)], length=100_000, tolerate=tolerate)
        with pytest.raises(ValueError, match="odd") as caught:
            list(mixture)
        assert isinstance(caught.value.__cause__, Rejected)


class _Rows(list[int]):
    """Rows that are read many at a time, and count how often they are."""

    calls = 0

    def __getitems__(self, places: list[int]) -> list[int]:
        self.calls += 1
        return [self[place] for place in places]


@pytest.mark.parametrize("render", [None, lambda item, rng: item + float(rng.random()), _picky])
def test_many_positions_at_once_give_what_one_by_one_does(render: Any) -> None:
    def made() -> Mixture:
        subsets = [
            Subset("rows", _Rows(range(1, 500)), 3.0, render, cap=300),
            Subset("made", lambda rng: float(rng.random()), 1.0),
            Subset("plain", list(range(40)), 1.0),
        ]
        return Mixture(subsets, seed=5, length=10_000, tolerate=0.2)

    mixture = made()
    positions = [*range(995, 1400), 7, 7, 9999]
    assert mixture.__getitems__(positions) == [made()[position] for position in positions]
    rows: Any = mixture.subsets[0].source
    assert rows.calls <= 6
    with pytest.raises(IndexError, match="position 10000 is past the stated length"):
        mixture.__getitems__([3, 10_000])
