"""The share that is asked is the share that is trained: measured on what rows hold, whatever the lengths."""

import functools
import itertools
import json
import math
import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from rscovlm.cli import app
from rscovlm.mixtures.mixture import Mixture, Subset
from rscovlm.mixtures.weight_stages import Stages
from rscovlm.training.packing import TOO_LONG, PackedMixture
from rscovlm.training.plan import LaneState
from rscovlm.training.recipe import TrainingRecipe
from rscovlm.training.stages import prepare
from tests.training.conftest import recipe_of

BUDGET = 6144

Lengths = Callable[[random.Random], int]

MIXTURES: dict[str, dict[str, tuple[float, Lengths]]] = {
    "thirds": {
        "chat": (1, lambda rng: rng.randint(40, 200)),
        "vqa": (1, lambda rng: rng.randint(250, 700)),
        "detection": (1, lambda rng: rng.randint(800, 6000)),
    },
    "short and long": {
        "vqa": (1, lambda rng: rng.randint(250, 350)),
        "detection": (1, lambda rng: rng.randint(700, 1600)),
    },
    "seven": {
        "vhm": (3, lambda rng: rng.randint(90, 500)),
        "temporal": (1, lambda rng: rng.randint(1000, 4000)),
        "general": (1, lambda rng: rng.randint(300, 1900)),
        "grounding": (2, lambda rng: rng.randint(400, 900)),
        "dota": (2, lambda rng: min(6100, int(400 + rng.lognormvariate(6, 1)))),
        "zoom": (1.5, lambda rng: rng.randint(1400, 3000)),
        "text": (0.5, lambda rng: rng.randint(30, 3000)),
    },
    "rare and tiny": {
        "big": (0.98, lambda rng: rng.randint(2000, 3100)),
        "tiny": (0.02, lambda rng: rng.randint(20, 30)),
    },
    "ten": {
        f"subset {k}": (1 + k % 3, functools.partial(lambda k, rng: rng.randint(50 + 40 * k, 200 + 350 * k), k))
        for k in range(10)
    },
    # Few of the long ones wait at a time, so that most large sums would need a sample twice.
    "heavy tail": {
        "questions": (1, lambda rng: int(min(6000, 50 + 100 * rng.paretovariate(1.2)))),
        "detection": (1, lambda rng: rng.randint(900, 1000)),
    },
    "one length each": {"chat": (1, lambda rng: 300), "detection": (1, lambda rng: 3500)},
    "halves": {
        "detection": (1, lambda rng: rng.randint(2900, 3200)),
        "chat": (3, lambda rng: rng.randint(150, 400)),
    },
    "far apart": {
        "vqa": (5, lambda rng: rng.randint(100, 900)),
        "grounding": (3, lambda rng: rng.randint(1500, 2600)),
        "detection": (1, lambda rng: rng.randint(3000, 5900)),
        "words": (1, lambda rng: rng.randint(30, 90)),
    },
    "a row each": {"chat": (1, lambda rng: 100), "detection": (1, lambda rng: 6100)},
}

FILLABLE = {"thirds", "short and long", "seven", "ten", "far apart"}
"""Those whose samples fill rows; two samples of one length each leave what neither fits in, in the shares that are asked."""


class Drawn(Sequence[Any]):
    """Samples that are no more than their length."""

    def __init__(self, lengths: Lengths) -> None:
        self.lengths = lengths

    def __len__(self) -> int:
        return 1_000_000

    def __getitem__(self, index: Any) -> Any:
        return self.lengths(random.Random(index))


def _mixture(name: str, length: int = 10**9) -> Mixture:
    subsets = [Subset(subset, Drawn(lengths), weight) for subset, (weight, lengths) in MIXTURES[name].items()]
    return Mixture(subsets, seed=1, length=length)


def _trained(packed: PackedMixture, rows: int) -> list[str]:
    mixture: Any = packed.mixture
    return [mixture.draw_at(position)[0] for row in range(rows) for position in packed.pack(row).positions]


def _furthest(trained: Sequence[str], shares: Any, window: int = 1000) -> float:
    """Return how far, of all windows of so many samples, one is off the share of a subset at most."""
    off = 0.0
    for name, share in shares.items():
        counts = np.cumsum([0, *(one == name for one in trained)])
        off = max(off, float(np.abs((counts[window:] - counts[:-window]) / window - share).max()))
    return off


@pytest.mark.parametrize(
    ("lanes", "lookahead", "steps"),
    [(1, 256, 500), (3, 64, 200), (8, 256, 90), (1, 16, 500), (32, 64, 50), (64, 256, 30), (8, 1024, 60)],
)
@pytest.mark.parametrize("name", MIXTURES)
def test_every_thousand_trained_samples_have_the_shares_of_the_recipe(
    name: str, lanes: int, lookahead: int, steps: int
) -> None:
    mixture = _mixture(name)
    packed = PackedMixture(mixture, length=int, budget=BUDGET, lookahead=lookahead, rows=steps * lanes, lanes=lanes)
    trained = _trained(packed, steps * lanes)
    after = trained[: max(1000, len(_trained(packed, 50 * lanes)))]
    for subset, share in mixture.shares().items():
        assert Counter(after)[subset] / len(after) == pytest.approx(share, abs=0.01)
    if len(trained) > 1000:
        assert _furthest(trained, mixture.shares()) <= 0.01 + 1e-9
    if name in FILLABLE:
        full = sum(packed.pack(row).tokens for row in range(steps * lanes)) / (steps * lanes * BUDGET)
        assert full >= (0.99 if lookahead >= 256 else 0.975)
    if name == "a row each" and lookahead >= 64:
        # A short sample that fits beside no long one takes others along, instead of a row for each.
        assert sum(packed.pack(row).tokens for row in range(steps * lanes)) >= 0.75 * steps * lanes * BUDGET


@pytest.mark.parametrize("lookahead", [4, 256, 1024])
def test_lengths_alone_do_not_decide_what_is_trained_where_no_subset_is_known(lookahead: int) -> None:
    lengths = [
        rng.randint(250, 350) if rng.random() < 0.5 else rng.randint(700, 1600)
        for rng in (random.Random(position) for position in range(5000))
    ]
    packed = PackedMixture(lengths, length=int, budget=BUDGET, lookahead=lookahead, rows=480, lanes=8)
    trained = [position for row in range(480) for position in packed.pack(row).positions]
    came = np.mean([length <= 350 for length in lengths[: len(trained)]])
    for window in (trained[:1000], trained[1000:2000], trained):
        assert np.mean([lengths[position] <= 350 for position in window]) == pytest.approx(came, abs=0.03)


@pytest.mark.parametrize("name", MIXTURES)
def test_no_sample_waits_for_more_rows_than_there_are_samples_in_hand(name: str) -> None:
    packed = PackedMixture(_mixture(name), length=int, budget=BUDGET, lookahead=32, rows=300)
    states = [packed[row]["plan"] for row in range(300)]
    for before, after in zip(states, states[32:], strict=False):
        assert {entry[1:3] for entry in before.waiting}.isdisjoint(entry[1:3] for entry in after.waiting)


def test_what_is_too_long_gives_its_place_to_another_of_its_subset() -> None:
    subsets = [
        Subset("long", Drawn(lambda rng: rng.randint(100, 150)), 1.0),
        Subset("short", Drawn(lambda rng: rng.randint(10, 60)), 1.0),
    ]
    # A third of the long ones have no room.
    packed = PackedMixture(Mixture(subsets, length=10**6), length=int, budget=134, lookahead=64, rows=1500)
    trained = Counter(_trained(packed, 1500))
    assert packed.dropped[TOO_LONG] > 200
    assert trained["long"] / trained.total() == pytest.approx(0.5, abs=0.01)
    rows = [packed[row] for row in range(200)]
    assert all(sum(row["samples"]) <= 134 for row in rows)
    again = PackedMixture(Mixture(subsets, length=10**6), length=int, budget=134, lookahead=64, rows=1500)
    again.resume([LaneState.from_dict(rows[99]["plan"].to_dict())])
    assert [again[row]["samples"] for row in range(100, 200)] == [row["samples"] for row in rows[100:]]


def test_lanes_share_out_each_subset_and_lose_none() -> None:
    packed = PackedMixture(_mixture("seven", 3000), length=int, budget=BUDGET, lookahead=8, rows=10**6, lanes=5)
    found: Counter[int] = Counter()
    for lane in range(5):
        counts: Counter[str] = Counter()
        for pack in itertools.count():
            try:
                positions = packed.pack(pack * 5 + lane).positions
            except IndexError:
                break
            found.update(positions)
            counts.update(_mixture("seven").draw_at(position)[0] for position in positions)
        assert counts.total() == pytest.approx(600, abs=4)
        for name, share in _mixture("seven").shares().items():
            assert counts[name] == pytest.approx(share * 600, abs=1.01)
    assert sorted(found.elements()) == list(range(3000))


def test_processes_that_share_a_lane_resume_where_the_furthest_stands() -> None:
    def made() -> PackedMixture:
        return PackedMixture(_mixture("short and long"), length=int, budget=BUDGET, lookahead=16, rows=96, lanes=16)

    walked = made()
    rows = [walked[row] for row in range(96)]
    states = [LaneState.from_dict(row["plan"].to_dict()) for row in rows[:48]]
    assert {state.lane for state in states} == set(range(8))
    for order in (states, states[::-1]):
        again = made()
        again.resume(order)
        assert [again[row]["positions"] for row in range(48, 96)] == [row["positions"] for row in rows[48:]]


def test_weights_that_change_are_trained_as_they_change() -> None:
    def made(weight: float) -> Mixture:
        lengths = MIXTURES["short and long"]
        weights = {"vqa": weight, "detection": 1.0}
        return Mixture([Subset(n, Drawn(lengths[n][1]), w) for n, w in weights.items()], seed=2, length=10**6)

    packed = PackedMixture(
        Stages([(4000, made(1.0)), (8000, made(3.0))]), length=int, budget=BUDGET, lookahead=64, rows=1100, lanes=4
    )
    trained = _trained(packed, 1100)
    assert Counter(trained[2000:3000])["vqa"] == pytest.approx(500, abs=10)
    assert Counter(trained[6000:7000])["vqa"] == pytest.approx(750, abs=10)


def test_a_row_far_back_is_reached_from_the_nearest_state_that_is_known() -> None:
    drawn = Counter[str]()

    def length(sample: int) -> int:
        drawn["looks"] += 1
        return sample

    packed = PackedMixture(_mixture("seven"), length=length, budget=BUDGET, lookahead=16, rows=10_000)
    far = [packed.pack(row) for row in (100, 1700, 4000)]
    drawn.clear()
    assert packed.pack(1700) == far[1]
    # What lies between two states that are kept, not 1,700 rows of about five samples.
    assert drawn["looks"] < 1500


def _halves(root: Path) -> dict[str, Any]:
    """Return a recipe of two subsets, one of them three times as often as the other."""
    lines = (root / "scenes.jsonl").read_text(encoding="utf-8").splitlines()
    for task in ("detection", "classification"):
        chosen = [line for line in lines if json.loads(line)["task"] == task]
        (root / f"{task}.jsonl").write_text("\n".join(chosen) + "\n", encoding="utf-8")
    recipe = recipe_of(root, packing={"tokens": 700, "lookahead": 32}, steps=10)
    weights = {"detection": 1, "classification": 3}
    subsets = [{"name": name, "records": f"{name}.jsonl", "weight": weight} for name, weight in weights.items()]
    recipe["mixture"] |= {"subsets": subsets}
    return recipe


def test_a_run_logs_the_shares_that_it_trained_beside_those_asked(root: Path, tmp_path: Path) -> None:
    run = prepare(TrainingRecipe.from_dict(_halves(root)), root=root, output=tmp_path, logging_steps=10)
    run.trainer.train()
    logged = run.trainer.state.log_history[0]
    for task, share in (("detection", 0.25), ("classification", 0.75)):
        assert logged[f"share_asked/{task}"] == share
        assert logged[f"share_samples/{task}"] == pytest.approx(share, abs=0.03)
        tokens = logged["tokens/detection"] + logged["tokens/classification"]
        assert logged[f"share_tokens/{task}"] == pytest.approx(logged[f"tokens/{task}"] / tokens)


def test_a_dry_run_prints_shares_steps_of_a_pass_and_what_a_step_costs(root: Path, tmp_path: Path) -> None:
    recipe = _halves(root)
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump({**recipe, "steps": None, "epochs": 2}), encoding="utf-8")
    done = CliRunner().invoke(
        app, ["train", str(path), "--root", str(root), "--output", str(tmp_path / "o"), "--dry-run"]
    )
    assert done.exit_code == 0, done.output
    # As many rows as are looked at where steps follow from epochs, so that both have the same estimate.
    run = prepare(TrainingRecipe.from_dict({**recipe, "steps": 16}), root=root, output=tmp_path / "o")
    step, rows = (
        run.report.step,
        sum(len((root / f"{name}.jsonl").read_text().splitlines()) for name in ("detection", "classification")),
    )
    assert step.steps_of(2) == math.ceil(2 * rows / step.samples)
    text = run.report.text()
    assert re.search(r"a step: \d+ rows, about \d+ samples and \d+ tokens, \d+ of them trained, about .* PFLOP", text)
    assert re.search(r"detection +25.0% +2\d.\d%", text)
    epochs = prepare(TrainingRecipe.from_dict({**recipe, "steps": None, "epochs": 2}), root=root, output=tmp_path / "o")
    assert epochs.trainer.args.max_steps == step.steps_of(2)
