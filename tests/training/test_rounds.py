"""Weights follow what is measured: what lags is drawn more from the next round on, and going on from a checkpoint repeats it."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from typer.testing import CliRunner

from rscovlm.cli import app
from rscovlm.mixtures.balance import BalanceRule
from rscovlm.mixtures.mixture import Mixture, Subset
from rscovlm.mixtures.weight_stages import Stages
from rscovlm.training.evaluation import RESULTS_FILE, write_results
from rscovlm.training.recipe import TrainingRecipe
from rscovlm.training.stages import prepare
from rscovlm.training.trainer import TaskTrainer
from tests.training.conftest import balanced_recipe
from tests.training.courses import Course, Server

STEPS = 5


class Watched:
    """What each step trained: digests, positions and tasks of its samples."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.steps: list[tuple[int, str, tuple[int, ...], tuple[str, ...]]] = []
        inner = TaskTrainer.compute_loss

        def watched(trainer: TaskTrainer, model: Any, inputs: Any, *rest: Any, **options: Any) -> Any:
            digest = hashlib.sha256()
            for name in ("input_ids", "labels", "pixel_values"):
                digest.update(inputs[name].numpy().tobytes())
            notes = inputs["notes"]
            self.steps.append((trainer.state.global_step, digest.hexdigest(), notes.positions, notes.tasks))
            return inner(trainer, model, inputs, *rest, **options)

        monkeypatch.setattr(TaskTrainer, "compute_loss", watched)

    def share(self, first: int, end: int) -> float:
        """Return the share of detection among the samples of some positions."""
        drawn = [pair for _, _, positions, tasks in self.steps for pair in zip(positions, tasks, strict=True)]
        tasks = [task for position, task in drawn if first <= position < end]
        return tasks.count("detection") / len(tasks)


@pytest.mark.parametrize(
    ("packing", "batch", "workers"), [({"tokens": 700, "lookahead": 2}, 2, 1), (None, 12, 0)], ids=["packed", "padded"]
)
def test_what_lags_is_drawn_more_and_going_on_repeats_it(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packing: Any, batch: int, workers: int
) -> None:
    recipe = balanced_recipe(root, steps=STEPS, packing=packing)
    recipe["train"] |= {"per_device_train_batch_size": batch, "dataloader_num_workers": workers}
    whole = Watched(monkeypatch)
    run = prepare(TrainingRecipe.from_dict(recipe), root=root, output=tmp_path)
    run.train()
    assert [step for step, *_ in whole.steps] == list(range(STEPS))
    logs = run.trainer.state.log_history
    shares = [entry["share/detection"] for entry in logs if "share/detection" in entry]
    assert shares == pytest.approx([2 / 3, 0.8], abs=0.001)
    positions = [position for _, _, drawn, _ in whole.steps for position in drawn]
    assert len(positions) == len(set(positions))
    said = json.loads((tmp_path / f"checkpoint-{STEPS}" / "rscovlm_run.json").read_text())["changes"]
    assert [change["step"] for change in said] == [2, 4]
    if packing is None:
        assert whole.share(0, said[0]["at"]) == pytest.approx(0.5, abs=0.1)
        assert whole.share(said[0]["at"], 1 << 40) > 0.6
    # What was drawn is a function of the recipe and the changes alone.
    mixture = TrainingRecipe.from_dict(recipe).mixture.build(root, length=max(positions) + 1)
    for change in said:
        mixture.change(change["at"], change["weights"])
    for _, _, drawn, tasks in whole.steps:
        assert tuple(mixture.subset_at(position) for position in drawn) == tasks
    for change in said:
        before = {p for step, _, drawn, _ in whole.steps if step < change["step"] for p in drawn}
        assert max(before) < change["at"]
        if packing is None:
            assert change["at"] == change["step"] * batch
    table = [json.loads(line) for line in (tmp_path / RESULTS_FILE).read_text().splitlines()]
    assert [row["step"] for row in table] == [2, 4, 5]
    losses = {entry["step"]: entry["loss"] for entry in logs if "loss" in entry}
    for kept in (3, 2):  # within a round, and at its end
        for path in tmp_path.glob("checkpoint-*"):
            if int(path.name.split("-")[1]) > kept:
                shutil.rmtree(path)
        monkeypatch.undo()
        again = Watched(monkeypatch)
        resumed = prepare(TrainingRecipe.from_dict(recipe), root=root, output=tmp_path, resume=True)
        resumed.train()
        assert again.steps == whole.steps[kept:]
        history = {entry["step"]: entry["loss"] for entry in resumed.trainer.state.log_history if "loss" in entry}
        assert history == pytest.approx(losses, rel=1e-6)
        after = json.loads((tmp_path / f"checkpoint-{STEPS}" / "rscovlm_run.json").read_text())["changes"]
        assert after == said
    assert torch.equal(next(run.trainer.model.parameters()), next(resumed.trainer.model.parameters()))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("packing", "workers"), [({"tokens": 400, "lookahead": 4}, 2), (None, 1)], ids=["packed", "padded"]
)
def test_two_processes_weigh_alike_and_go_on_when_killed(
    server: Server, root: Path, tmp_path: Path, packing: Any, workers: int
) -> None:
    recipe = balanced_recipe(root, steps=6, packing=packing)
    recipe["train"] |= {"dataloader_num_workers": workers}
    course = Course(server, tmp_path / "course", root, recipe, processes=2)
    course.undisturbed()

    def weights(name: str) -> dict[int, list[dict[str, float]]]:
        found: dict[int, list[dict[str, float]]] = {}
        for (step, _), entries in sorted(course.log(name).items()):
            for entry in entries:
                assert found.setdefault(step, entry["weights"]) == entry["weights"], "processes, or tries, differ"
        return found

    used = weights("whole")
    assert [len(used[step]) for step in range(6)] == [0, 0, 1, 1, 2, 2]
    assert used[5][0]["detection"] / used[5][0]["classification"] == pytest.approx(2, rel=0.01)
    assert used[5][1]["detection"] / used[5][1]["classification"] == pytest.approx(4, rel=0.01)
    # Before the first step of a round, whose weights are in the checkpoint, and within one.
    for step in (4, 3):
        assert course.killed_and_resumed(f"killed{step}", kill_at=step, kill_rank=1) == step
        assert weights(f"killed{step}") == used


def test_positions_before_a_change_stay_as_they_are() -> None:
    def stages() -> Stages:
        subsets = [Subset(name, [f"{name}{i}" for i in range(50)]) for name in ("a", "b", "c")]
        made = [(count, Mixture(subsets, seed=3, length=end)) for count, end in ((1500, 1500), (4500, 6000))]
        return Stages(made)

    before, after = stages(), stages()
    after.change(2500, {"a": 4.0})
    assert len(before) == len(after)
    assert [before[i] for i in range(2500)] == [after[i] for i in range(2500)]
    drawn = [after.subset_at(i) for i in range(3000, 6000)]
    assert drawn.count("a") == pytest.approx(2000, abs=5)
    after.change(4000, {"a": 1.0})
    assert [after.subset_at(i) for i in range(5000, 6000)].count("a") == pytest.approx(333, abs=1)
    with pytest.raises(ValueError, match="no subset 'd' has a positive weight"):
        after.change(0, {"d": 1.0})


def test_the_next_recipe_follows_from_a_runs_own_table(root: Path, tmp_path: Path) -> None:
    recipe = balanced_recipe(root)
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
    table = tmp_path / RESULTS_FILE
    for step, value in ((2, 0.5), (6, 0.9), (4, 0.1)):
        # The last is of a run that went on from before step 6.
        write_results(table, step, {"detection/ap_nc50": value})
    assert [json.loads(line)["step"] for line in table.read_text().splitlines()] == [2, 4]
    done = CliRunner().invoke(app, ["data", "balance", str(path), str(table), str(tmp_path / "next.yaml")])
    assert done.exit_code == 0, done.output
    assert "behind its target by 80.0%" in done.output
    weights = {one.name: one.weight for one in TrainingRecipe.load(tmp_path / "next.yaml").mixture.subsets}
    assert weights["detection"] == pytest.approx(1.8 * weights["classification"], rel=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"evaluation": None}, "measured by no evaluation"),
        ({"balance": {"targets": {"detection": {"detection/ap_nc50": 0.5}}, "every": 3}}, "every 3 steps .* every 2"),
        ({"balance": {"targets": {"ships": {"detection/ap_nc50": 0.5}}, "every": 2}}, "targets of 'ships'"),
        ({"balance": {"targets": {}}}, "no targets"),
        ({"balance": {"tragets": {}}}, "did you mean 'targets'"),
        ({"balance": {"targets": {"detection": {"a": 0}}}}, "target 'a' of 'detection' is 0"),
    ],
)
def test_a_balance_that_nothing_follows_is_refused(root: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainingRecipe.from_dict(balanced_recipe(root, **changes))


def test_targets_of_what_was_not_measured_are_named() -> None:
    rule = BalanceRule({"a": {"vqa/accuracy": 0.5}})
    with pytest.raises(ValueError, match="'vqa/accuracy' of 'a' was not measured; measured are x"):
        rule.reached({"x": 1.0, "vqa/accuracy": float("nan")})
