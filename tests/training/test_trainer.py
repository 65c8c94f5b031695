"""Losses by task are those of the tasks' samples alone; a loss that is no number and a full memory are told apart."""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import torch

from rscovlm.training.collator import Collator
from rscovlm.training.encoding import Encoder
from rscovlm.training.recipe import TrainingRecipe
from rscovlm.training.stages import prepare
from tests.training.conftest import recipe_of


def _alone(run: Any, rows: int) -> dict[str, list[float]]:
    """Loss, trained tokens, tokens and samples by task, sample by sample with a loss of our own."""
    trainer = run.trainer
    processor, model = trainer.processing_class, trainer.model
    found: dict[str, list[float]] = defaultdict(lambda: [0.0, 0, 0, 0])
    collate = Collator(processor)
    for row in range(rows):
        drawn = trainer.train_dataset[row]
        for sample in drawn.get("samples", [drawn]):
            batch = collate([sample])
            labels = batch.pop("labels")
            with torch.no_grad():
                logits = model(**batch, use_cache=False).logits
            loss = torch.nn.functional.cross_entropy(logits[0, :-1], labels[0, 1:], ignore_index=-100, reduction="sum")
            values = (float(loss), int((labels[0, 1:] != -100).sum()), labels.shape[1], 1)
            sums = found[sample["task"]]
            for place, value in enumerate(values):
                sums[place] += value
    return found


@pytest.mark.parametrize("packing", [{"tokens": 512, "lookahead": 8}, None])
def test_the_loss_by_task_is_that_of_its_samples_alone(root: Path, tmp_path: Path, packing: Any) -> None:
    recipe = recipe_of(root, packing=packing, steps=1)
    recipe["train"]["per_device_train_batch_size"] = 2 if packing else 6
    run = prepare(TrainingRecipe.from_dict(recipe), root=root, output=tmp_path)
    if packing:
        run.trainer.model.set_attn_implementation({"text_config": "sdpa"})
    expected = _alone(run, 2 if packing else 6)
    assert set(expected) == {"detection", "classification"}
    run.trainer.train()
    logged = run.trainer.state.log_history[0]
    for task, (loss, trained, tokens, samples) in expected.items():
        assert logged[f"loss/{task}"] == pytest.approx(loss / trained, rel=1e-4)
        assert logged[f"trained_tokens/{task}"] == trained
        assert logged[f"tokens/{task}"] == tokens
        assert logged[f"samples/{task}"] == samples
    total = [sum(values[place] for values in expected.values()) for place in range(3)]
    assert logged["loss"] == pytest.approx(total[0] / total[1], rel=1e-4)
    subsets = [name.removeprefix("share_asked/") for name in logged if name.startswith("share_asked/")]
    for kind in ("asked", "samples", "tokens"):
        assert sum(logged[f"share_{kind}/{name}"] for name in subsets) == pytest.approx(1)
    if packing:
        assert logged["num_tokens"] == total[2]


def test_a_task_of_weight_zero_trains_nothing(root: Path, tmp_path: Path) -> None:
    losses = {}
    for name, weights in (("one", {}), ("half", {"detection": 0.5}), ("none", {"detection": 0.0})):
        run = prepare(
            TrainingRecipe.from_dict(recipe_of(root, steps=1, task_weights=weights)), root=root, output=tmp_path
        )
        run.trainer.train()
        losses[name] = run.trainer.state.log_history[0]
    one = losses["one"]
    share = one["trained_tokens/detection"] / (one["trained_tokens/detection"] + one["trained_tokens/classification"])
    for name, weight in (("half", 0.5), ("none", 0.0)):
        expected = weight * share * one["loss/detection"] + (1 - share) * one["loss/classification"]
        assert losses[name]["loss"] == pytest.approx(expected, rel=1e-4)
        assert losses[name]["loss/detection"] == pytest.approx(one["loss/detection"], rel=1e-6)


def test_a_negative_weight_is_refused(root: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="task_weights of 'vqa' is -1"):
        prepare(TrainingRecipe.from_dict(recipe_of(root, task_weights={"vqa": -1})), root=root, output=tmp_path)


@pytest.mark.parametrize("too_long", ["drop", "shrink", "split"])
def test_samples_too_long_are_counted_in_report_and_logs(root: Path, tmp_path: Path, too_long: str) -> None:
    plain = prepare(TrainingRecipe.from_dict(recipe_of(root)), root=root, output=tmp_path)
    encoder = Encoder(plain.trainer.processing_class)
    rows = [plain.trainer.train_dataset[row]["samples"] for row in range(4)]
    lengths = sorted(len(encoder(sample)) for samples in rows for sample in samples)
    # A budget between the lengths, that the longest miss by less than their visual tokens.
    budget = lengths[-1] - 3
    recipe = recipe_of(
        root, packing={"tokens": budget, "lookahead": 8, "too_long": too_long, "least_tile": 40}, steps=12
    )
    run = prepare(TrainingRecipe.from_dict(recipe), root=root, output=tmp_path)
    run.trainer.train()
    key = {
        "drop": "dropped/longer_than_the_token_budget",
        "shrink": "dropped/shown_smaller_to_fit_the_token_budget",
        "split": "dropped/split_into_tiles_to_fit_the_token_budget",
    }
    counts = sum(entry.get(key[too_long], 0) for entry in run.trainer.state.log_history)
    assert counts > 0
    assert sum(run.report.left_out.values()) > 0
    assert any(f"{count} samples: {reason}" in run.report.text() for reason, count in run.report.left_out.items())
    for row in range(12):
        assert sum(len(encoder(sample)) for sample in run.trainer.train_dataset[row]["samples"]) <= budget


@pytest.mark.parametrize("packing", [{"tokens": 1024, "lookahead": 4}, None])
def test_rows_that_cannot_be_used_are_logged_by_reason(root: Path, tmp_path: Path, packing: Any) -> None:
    lines = (root / "scenes.jsonl").read_text(encoding="utf-8").splitlines()
    # A classification without a class, which is found when the record is put into words.
    broken = json.dumps({**json.loads(lines[1]), "classes": []})
    (root / "broken.jsonl").write_text("\n".join([broken, *lines[2:]]) + "\n", encoding="utf-8")
    recipe = recipe_of(root, packing=packing, steps=3)
    recipe["train"]["per_device_train_batch_size"] = 1 if packing else 8
    subset = {"name": "broken", "records": "broken.jsonl"}
    recipe["mixture"] = {**recipe["mixture"], "subsets": [subset], "tolerate": 0.5}
    run = prepare(TrainingRecipe.from_dict(recipe), root=root, output=tmp_path)
    run.trainer.train()
    logged = {key for entry in run.trainer.state.log_history for key in entry if key.startswith("dropped/")}
    assert len(logged) == 1


def test_a_loss_that_is_no_number_names_the_samples(root: Path, tmp_path: Path) -> None:
    run = prepare(TrainingRecipe.from_dict(recipe_of(root)), root=root, output=tmp_path)
    positions = run.trainer.train_dataset[0]["positions"]
    with torch.no_grad():
        run.trainer.model.lm_head.weight.fill_(float("nan"))
    named = ", ".join(rf"{position} \(\w+\)" for position in positions)
    with pytest.raises(FloatingPointError, match=f"positions {named} of the mixture"):
        run.trainer.train()


def test_running_out_of_memory_says_what_to_lower(root: Path, tmp_path: Path) -> None:
    run = prepare(TrainingRecipe.from_dict(recipe_of(root)), root=root, output=tmp_path)
    run.trainer.model.register_forward_pre_hook(lambda *_: torch.empty(1 << 55) and None)
    with pytest.raises(
        MemoryError, match=r"out of memory on 1 rows of \d+ tokens, the longest sample \d+; lower packing"
    ):
        run.trainer.train()


@pytest.mark.parametrize("too_long", ["cut", ""])
def test_nothing_is_ever_cut(root: Path, too_long: str) -> None:
    with pytest.raises(ValueError, match=f"too_long of packing is {too_long!r}; known are drop, shrink, split"):
        TrainingRecipe.from_dict(recipe_of(root, packing={"too_long": too_long}))
