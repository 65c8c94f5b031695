"""A minute of fine-tuning: a class the model has never seen, mixed with what it already knows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from rscovlm.codec import Codec
from rscovlm.experiments.embedded import STAGES, budget, scene_config
from rscovlm.experiments.embedded_tiles import small_markings
from rscovlm.mixtures.mixture import Mixture, Subset
from rscovlm.mixtures.scene_records import SceneTurns, ZoomTurns
from rscovlm.mixtures.scene_tiles import SceneTiles
from rscovlm.scenes import SceneConfig
from rscovlm.training.collator import PackedCollator
from rscovlm.training.encoding import Encoder
from rscovlm.training.optimizer import MuonAdamW
from rscovlm.training.packing import PackedMixture
from rscovlm.training.segments import isolate_samples
from rscovlm.training.sft import build_trainer

NEW_CLASSES = ("court",)
"""What no conversation of the embedded model's own training names."""

LOOKS = 2
"""Windows that the model may ask for: the pad, and from there the marking on it."""

STEPS = 320
"""Optimiser steps of a demo: the same whatever the machine, so that a slow one gives the same figures later."""

ROW = 1536
"""Tokens of a packed row, one a step: about 22 conversations."""

PARTS = 36
"""Parts of large scenes that tiles are cut from."""

Progress = Callable[[int, int, float | None], None]
"""Takes the steps done, the steps in all, and the loss where there is one."""


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


def demo_mixture(*, seed: int, length: int) -> Mixture:
    """Build the weighted mixture: two fifths hold the new class, the rest is what must not be forgotten."""
    codec = Codec.preset("rscovlm-v1")
    known, seen = known_scenes(), budget()
    old = SceneTurns(known, codec, seen, tasks=STAGES[-1].tasks)
    # Among several objects, so that the phrase matters.
    pointed = replace(old, config=replace(known, min_objects=2), kind="hbb", boxed=("grounding",), tasks=("colour",))
    new = SceneTurns(new_scenes(), codec, seen)
    everything = (*known.classes, *NEW_CLASSES)
    # Three of four tiles are empty: what is taught anew is soon seen where there is nothing.
    tiles = SceneTiles(codec, seen, everything, parts=PARTS, empty=0.75)
    subsets = [
        Subset("new class: detect", new, 1.0),
        Subset("new class: point", replace(new, kind="hbb"), 0.7),
        Subset("new and known: detect", SceneTurns(replace(known, classes=everything), codec, seen), 0.6),
        Subset("new and known: tiles", tiles, 3.4),
        Subset("known: detect", old, 3.0),
        Subset("known: point", pointed, 3.4),
        Subset("known: words", replace(old, spatial=0), 0.6),
        Subset("known: zoom", ZoomTurns(known, codec, seen), 0.4),
        Subset("known: small markings", small_markings(known, codec, seen), 0.4),
    ]
    return Mixture(subsets, seed=seed, length=length)


def demo_rows(processor: Any, *, seed: int, steps: int) -> PackedMixture:
    """Pack the mixture into rows, one a step."""
    mixture = demo_mixture(seed=seed, length=steps * ROW)
    return PackedMixture(mixture, length=Encoder(processor), budget=ROW, lookahead=ROW // 48, rows=steps)


def tune(
    model: Any, processor: Any, folder: Path, *, steps: int = STEPS, seed: int = 0, progress: Progress | None = None
) -> Tuned:
    """Fine-tune a model in place.

    Args:
        model: The model.
        processor: Its processor.
        folder: Where the trainer may write.
        steps: Optimiser steps.
        seed: Of the mixture.
        progress: Called after each step.
    """
    from transformers.trainer_callback import PrinterCallback

    rows = demo_rows(processor, seed=seed, steps=steps)
    attention = model.config.text_config._attn_implementation
    isolate_samples(model)
    trainer = build_trainer(
        model,
        processor,
        rows,
        collator=PackedCollator(processor, notes=True),
        optimizer=MuonAdamW(model.named_parameters(), lr=6e-4, muon_lr=1.2e-3),
        callbacks=[_Watch(progress)] if progress is not None else None,
        output_dir=str(folder),
        max_steps=steps,
        per_device_train_batch_size=1,
        # Up while the new class is learnt, then down to nearly nothing, which brings back what the rise cost.
        lr_scheduler_type="warmup_stable_decay",
        warmup_steps=min(10, steps // 4),
        lr_scheduler_kwargs={"num_decay_steps": 3 * steps // 5, "min_lr_ratio": 0.02},
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
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    model.eval()
    model.set_attn_implementation({"text_config": attention})
    losses = [(float(entry["step"]), float(entry["loss"])) for entry in trainer.state.log_history if "loss" in entry]
    taken = int(trainer.state.global_step)
    return Tuned(
        losses, taken, trainer.tally.kept, dict(demo_mixture(seed=seed, length=1).shares()), model.num_parameters()
    )


class _Watch(TrainerCallback):
    """Reports steps and the last loss."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.loss: float | None = None

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if "loss" in (logs or {}):
            self.loss = float(logs["loss"])

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.progress(int(state.global_step), int(state.max_steps), self.loss)
