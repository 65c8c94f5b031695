"""Arms of an experiment: the embedded model fine-tuned on a mixture for some steps, then measured on fresh scenes."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rscovlm.codec import Codec
from rscovlm.engines import Engine
from rscovlm.mixtures.mixture import Mixture, Subset
from rscovlm.processing import PixelBudget

BATCH = 16
"""Samples a step."""

PIXELS = Codec.preset("rscovlm-v1")
"""Coordinates in pixels of the shown image, as the embedded model writes them."""

EVERYTHING = PixelBudget(min_pixels=28 * 28, max_pixels=336 * 336, factor=28)
"""What the model may see: an image is shown at the size its sample has."""


@dataclass(frozen=True)
class Measure:
    """One figure of one arm.

    Attributes:
        name: What is measured.
        value: How much.
        items: On how many items.
        x: Where on the figure's axis.
    """

    name: str
    value: float
    items: int
    x: float = 0.0


@dataclass(frozen=True)
class ArmRun:
    """An arm with a seed, done.

    Attributes:
        claim: The experiment.
        arm: Which arm.
        seed: Of its scenes and their order.
        steps: Steps trained, of `BATCH` samples.
        seconds: CPU seconds of training.
        loss: Mean of the last logged losses; 0 where nothing was trained.
        weights: Of the mixture's subsets.
        measures: What was measured.
    """

    claim: str
    arm: str
    seed: int
    steps: int
    seconds: float
    loss: float
    weights: dict[str, float]
    measures: tuple[Measure, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ArmRun:
        """Return the run that `to_dict` gave."""
        return cls(**{**values, "measures": tuple(Measure(**one) for one in values["measures"])})

    def value(self, name: str, x: float = 0.0) -> float:
        """Return one of the figures.

        Raises:
            ValueError: No such name exists there.
        """
        for one in self.measures:
            if (one.name, one.x) == (name, x):
                return one.value
        raise ValueError(f"run {self.arm!r} has no figure {name!r} at {x}; it has {[m.name for m in self.measures]}")


@dataclass(frozen=True)
class Arm:
    """One way to train.

    Attributes:
        name: What it is called.
        subsets: Makes the mixture's subsets, given the runs of this seed that are done.
        steps: Steps to train; 0 leaves the embedded model as it is.
        codec: Writes and reads the boxes.
    """

    name: str
    subsets: Callable[[Sequence[ArmRun]], list[Subset]]
    steps: int
    codec: Codec = PIXELS

    def steps_at(self, times: float) -> int:
        """Return the steps of an arm that trains `times` as long: one at least, unless it does not train."""
        return max(1, round(self.steps * times)) if self.steps else 0


@dataclass(frozen=True)
class Claim:
    """An experiment.

    Attributes:
        name: What the command calls it.
        arms: What is compared, in the order in which they run.
        measure: Measures an arm: given its name, who answers, the seed and the number of scenes.
        draw: Draws the runs: SVG by the name of its file.
    """

    name: str
    arms: tuple[Arm, ...]
    measure: Callable[[str, Engine, int, int], list[Measure]]
    draw: Callable[[Sequence[ArmRun]], dict[str, str]]


def run_arm(
    claim: Claim, arm: Arm, seed: int, done: Sequence[ArmRun], *, times: float = 1.0, count: int = 192
) -> ArmRun:
    """Train and measure one arm.

    Args:
        claim: The experiment.
        arm: One of its arms.
        seed: Of scenes, their order and the test scenes.
        done: Runs of this seed that are done.
        times: How many times its own steps it takes.
        count: Test scenes.
    """
    from rscovlm.engines import Transformers
    from rscovlm.loading import load

    model, processor = load("embedded", device="cpu")
    processor.codec, processor.budget = arm.codec, EVERYTHING
    steps = arm.steps_at(times)
    seconds, loss, weights = 0.0, 0.0, {}
    if steps:
        subsets = arm.subsets(done)
        weights = {subset.name: subset.weight for subset in subsets}
        start = time.process_time()
        loss = fine_tune(model, processor, Mixture(subsets, seed=seed, length=steps * BATCH), steps=steps, seed=seed)
        seconds = time.process_time() - start
    engine = Transformers(model.eval(), processor, batch_size=64)
    measures = claim.measure(arm.name, engine, seed, count)
    return ArmRun(claim.name, arm.name, seed, steps, round(seconds, 1), round(loss, 4), weights, tuple(measures))


def fine_tune(model: Any, processor: Any, mixture: Any, *, steps: int, seed: int) -> float:
    """Fine-tune a model in place on one core, and return the mean loss of the last steps."""
    from transformers.trainer_callback import PrinterCallback

    from rscovlm.training.optimizer import MuonAdamW
    from rscovlm.training.sft import build_trainer

    with tempfile.TemporaryDirectory() as folder:
        trainer = build_trainer(
            model,
            processor,
            mixture,
            optimizer=MuonAdamW(model.named_parameters(), lr=1e-3, muon_lr=5e-3),
            output_dir=folder,
            max_steps=steps,
            per_device_train_batch_size=BATCH,
            lr_scheduler_type="warmup_stable_decay",
            warmup_steps=min(10, steps // 2),
            lr_scheduler_kwargs={"num_decay_steps": steps // 2, "min_lr_ratio": 0.02},
            max_grad_norm=1.0,
            activation_checkpointing=False,
            bf16=False,
            use_cpu=True,
            logging_steps=min(20, steps),
            save_strategy="no",
            disable_tqdm=True,
            seed=seed,
        )
        # Its own printing of every log line is not this command's.
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    return float([entry["loss"] for entry in trainer.state.log_history if "loss" in entry][-1])
