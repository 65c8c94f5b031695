"""A minute of fine-tuning: a class the model has never seen, mixed with what it already knows."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from rscovlm.codec import Codec
from rscovlm.experiments.embedded import STAGES, budget, scene_config
from rscovlm.mixtures.mixture import Mixture, Subset
from rscovlm.mixtures.scene_records import SceneTurns, ZoomTurns
from rscovlm.scenes import SceneConfig
from rscovlm.training.optimizer import MuonAdamW
from rscovlm.training.sft import build_trainer

NEW_CLASSES = ("court",)
"""What no conversation of the embedded model's own training names."""


BATCH = 16
"""Samples a step."""


@dataclass(frozen=True)
class Tuned:
    """What fine-tuning did.

    Attributes:
        losses: (step, loss) pairs.
        steps: Steps taken.
        samples: Samples trained on.
        shares: Share of each subset in the mixture.
        parameters: Weights of the model.
    """

    losses: list[tuple[float, float]]
    steps: int
    samples: int
    shares: dict[str, float]
    parameters: int


def known_scenes() -> SceneConfig:
    """Return the scenes that the embedded model was trained on."""
    return scene_config(STAGES[-1])


def new_scenes() -> SceneConfig:
    """Return scenes that hold the new class, on ground where it is found."""
    ground = ("field", "forest", "urban")
    return replace(known_scenes(), classes=NEW_CLASSES, covers=ground, max_objects=1)


def demo_mixture(*, seed: int) -> Mixture:
    """Build the weighted mixture: a third new, the rest what must not be forgotten."""
    codec = Codec.preset("rscovlm-v1")
    old = SceneTurns(known_scenes(), codec, budget(), tasks=STAGES[-1].tasks)
    new = SceneTurns(new_scenes(), codec, budget())
    subsets = [
        Subset("new class: detect", new, 2.0),
        Subset("new class: point", replace(new, kind="hbb"), 1.0),
        Subset("known: detect", old, 3.0),
        Subset("known: point", replace(old, kind="hbb"), 2.0),
        Subset("zoom", ZoomTurns(known_scenes(), codec, budget()), 1.5),
    ]
    return Mixture(subsets, seed=seed, length=100_000)


def tune(model: Any, processor: Any, folder: Path, *, seconds: float, seed: int, say: Callable[[str], None]) -> Tuned:
    """Fine-tune a model in place for a time.

    Args:
        model: The model.
        processor: Its processor.
        folder: Where the trainer may write.
        seconds: How long to train.
        seed: Of the mixture.
        say: Takes lines of progress.
    """
    mixture = demo_mixture(seed=seed)
    clock = _Clock(seconds, say)
    trainer = build_trainer(
        model,
        processor,
        mixture,
        optimizer=MuonAdamW(model.named_parameters(), lr=1e-3, muon_lr=2e-3),
        callbacks=[clock],
        output_dir=str(folder),
        max_steps=len(mixture) // BATCH,
        per_device_train_batch_size=BATCH,
        lr_scheduler_type="constant",
        activation_checkpointing=False,
        bf16=False,
        use_cpu=True,
        dataloader_num_workers=1,
        logging_steps=5,
        logging_strategy="steps",
        save_strategy="no",
        disable_tqdm=True,
        seed=seed,
    )
    # The trainer's own printing of every log line would drown the demo's.
    from transformers.trainer_callback import PrinterCallback

    trainer.remove_callback(PrinterCallback)
    trainer.train()
    model.eval()
    logs = [entry for entry in trainer.state.log_history if "loss" in entry]
    losses = [(float(entry["step"]), float(entry["loss"])) for entry in logs]
    steps = int(trainer.state.global_step)
    return Tuned(losses, steps, steps * BATCH, dict(mixture.shares()), model.num_parameters())


class _Clock(TrainerCallback):
    """Ends training when its time is up, warms the learning rate up and lowers it towards that end, and says how it goes."""

    def __init__(self, seconds: float, say: Callable[[str], None]) -> None:
        self.seconds, self.say = seconds, say
        self.start, self.told = 0.0, 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.start = self.told = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        spent = time.monotonic() - self.start
        if spent >= self.seconds:
            control.should_training_stop = True

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, optimizer: Any = None, **_: Any) -> None:
        left = 1.0 - (time.monotonic() - self.start) / self.seconds
        rate = min(1.0, max(0.05, 2.0 * left), (state.global_step + 1) / 10)
        for group in optimizer.param_groups if optimizer is not None else ():
            group["lr"] = group["initial_lr"] * rate

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if "loss" in (logs or {}) and time.monotonic() - self.told >= 10:
            self.told = time.monotonic()
            self.say(
                f"    {self.told - self.start:3.0f} s  step {state.global_step:4d}  loss {float(logs['loss']):.3f}"
            )
