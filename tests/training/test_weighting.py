"""A weighted loss and its gradients are those of a plain loop over single samples, however the samples share rows and steps."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from rscovlm.training.batch_info import Notes
from rscovlm.training.collator import Collator
from rscovlm.training.recipe import TrainingRecipe
from rscovlm.training.sft import build_trainer
from rscovlm.training.stages import prepare
from rscovlm.training.weighting import Per, Weighting, digit_tokens, trained_by_sample
from tests.training.conftest import recipe_of

SETTINGS = {
    "optim": "sgd",
    "learning_rate": 1.0,
    "lr_scheduler_type": "constant",
    "max_grad_norm": 0.0,
    "weight_decay": 0.0,
}
WEIGHTS: dict[str, Any] = {"task_weights": {"detection": 1.5}, "token_weights": {"digits": 3.0, "words": 0.5}}


def _samples(trainer: Any, rows: int) -> Iterator[Any]:
    for row in range(rows):
        drawn = trainer.train_dataset[row]
        yield from drawn.get("samples", [drawn])


def _by_hand(trainer: Any, rows: int, recipe: dict[str, Any]) -> tuple[float, dict[str, torch.Tensor]]:
    """Loss and gradients of one step, sample by sample and token by token."""
    model, processor = trainer.model, trainer.processing_class
    collate = Collator(processor)
    power = {"token": 0.0, "root": 0.5, "sample": 1.0}[recipe["loss_per"]]
    total, divisor = torch.zeros(()), 0.0
    for sample in _samples(trainer, rows):
        batch = collate([sample])
        labels = batch.pop("labels")[0, 1:]
        logits = model(**batch, use_cache=False).logits[0, :-1]
        trained = [place for place, label in enumerate(labels.tolist()) if label != -100]
        long = 1.0 / len(trained) ** power
        for place in trained:
            text = processor.tokenizer.decode([int(labels[place])]).strip()
            written = recipe["token_weights"]["digits" if text.isdecimal() else "words"]
            task = recipe["task_weights"].get(sample["task"], 1.0)
            total = total - task * written * long * torch.log_softmax(logits[place], -1)[labels[place]]
            divisor += long
    loss = total / divisor
    model.zero_grad()
    loss.backward()
    gradients = {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}
    model.zero_grad()
    return float(loss.detach()), gradients


@pytest.mark.parametrize(
    ("per", "packing", "batch", "accumulated"),
    [("sample", True, 1, 2), ("root", True, 2, 1), ("token", True, 1, 2), ("sample", False, 3, 2)],
)
def test_a_step_is_that_of_a_loop_by_hand(
    root: Path, tmp_path: Path, per: Per, packing: bool, batch: int, accumulated: int
) -> None:
    recipe = recipe_of(root, steps=1, loss_per=per, **WEIGHTS)
    recipe["packing"] = {"tokens": 300, "lookahead": 8} if packing else None
    recipe["train"] |= {
        **SETTINGS,
        "per_device_train_batch_size": batch,
        "gradient_accumulation_steps": accumulated,
    }
    run = prepare(TrainingRecipe.from_dict(recipe), root=root, output=tmp_path)
    attention = run.trainer.model.config.get_text_config()._attn_implementation
    run.trainer.model.set_attn_implementation({"text_config": "sdpa"})
    before = {name: weight.detach().clone() for name, weight in run.trainer.model.named_parameters()}
    loss, gradients = _by_hand(run.trainer, batch * accumulated, recipe)
    run.trainer.model.set_attn_implementation({"text_config": attention})
    run.trainer.train()
    assert run.trainer.state.log_history[0]["loss"] == pytest.approx(loss, rel=1e-4)
    for name, weight in run.trainer.model.named_parameters():
        moved = before[name] - weight.detach()
        scale = float(gradients[name].abs().max())
        assert torch.allclose(moved, gradients[name], rtol=1e-3, atol=1e-4 * scale + 1e-7), name


def test_only_digits_count_as_digits(root: Path) -> None:
    from transformers import AutoProcessor

    tokenizer = AutoProcessor.from_pretrained(root / "model").tokenizer
    digits = digit_tokens(tokenizer, len(tokenizer) + 3)
    assert len(digits) == len(tokenizer) + 3
    ids = tokenizer("plane 120,45 8 tank.")["input_ids"]
    assert "".join(tokenizer.decode([i]).strip() for i in ids if digits[i]) == "120458"
    assert not digits[len(tokenizer) :].any()


def test_tokens_are_counted_sample_by_sample() -> None:
    labels = torch.tensor([[-100, 5, 5, -100, -100, 7, -100, -100]])
    notes = Notes(("a", "b", "c"), (0, 1, 2), (3, 3, 2), packed=True)
    assert trained_by_sample(labels, notes).tolist() == [2, 1, 0]
    factors = Weighting({"b": 4.0}, per="root").factors(labels, notes, None)[0]
    assert factors[:2].tolist() == pytest.approx([0.5**0.5] * 2)
    assert factors[4] == 4.0
    assert Weighting(per="sample").divisor([{"labels": labels, "notes": notes}] * 3) == pytest.approx(6.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss_per": "box"}, "loss_per of the recipe is 'box'; known are root, sample, token"),
        ({"token_weights": {"digit": 2}}, "token_weights of the recipe is 'digit'; did you mean 'digits'"),
        ({"token_weights": {"digits": float("nan")}}, "digits in token_weights of the recipe is nan"),
        ({"task_weights": {"detectoin": 2}}, "task_weights of the recipe is 'detectoin'; did you mean 'detection'"),
        ({"task_weights": {"vqa": "much"}}, "vqa in task_weights of the recipe is 'much'; give a number"),
    ],
)
def test_weights_that_make_no_sense_are_refused(root: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainingRecipe.from_dict(recipe_of(root, **changes))


@pytest.mark.parametrize(("name", "value"), [("label_smoothing_factor", 0.1), ("loss_type", "dft")])
@pytest.mark.parametrize("weights", [{"task_weights": {"vqa": 2}}, {"loss_per": "sample"}])
def test_what_passes_the_weights_over_is_refused(
    root: Path, tmp_path: Path, name: str, value: Any, weights: dict[str, Any]
) -> None:
    recipe = recipe_of(root, **weights)
    recipe["train"] |= {name: value}
    with pytest.raises(ValueError, match=f"{name}={value!r} is not the loss that task_weights"):
        prepare(TrainingRecipe.from_dict(recipe), root=root, output=tmp_path)


def test_what_would_have_no_effect_is_refused(root: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForImageTextToText, AutoProcessor

    processor: Any = AutoProcessor.from_pretrained(root / "model")
    model: Any = AutoModelForImageTextToText.from_pretrained(root / "model")
    sample = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
    settings: dict[str, Any] = {"output_dir": str(tmp_path), "max_steps": 1, "use_cpu": True, "bf16": False}
    silent = build_trainer(
        model, processor, [sample] * 8, collator=Collator(processor), weighting=Weighting(per="root"), **settings
    )
    with pytest.raises(ValueError, match="make the collator with notes=True"):
        silent.train()
    with pytest.raises(ValueError, match="learning_rates would not reach an optimizer that is given"):
        build_trainer(
            model, processor, [sample], optimizer=torch.optim.SGD(model.parameters()),
            learning_rates={"vision": 1e-5}, **settings,
        )  # fmt: skip
