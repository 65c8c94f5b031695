"""From a recipe to a run in four stages, each with a frozen result: checked, opened, loaded, ready to train.

What is wrong is found in the cheapest stage that can see it: the recipe alone, then its data, then the weights. The recipe
goes no further than the first stage; the later ones take the few values that they need.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rscovlm.training.adapters import base_of, continued, load_adapter
from rscovlm.training.arguments import adapter_config, check_trainer, quantization_config, trainer_arguments
from rscovlm.training.attention import attention_of, choose_attention
from rscovlm.training.checkpoints import to_go_on_from
from rscovlm.training.collator import Collator, PackedCollator
from rscovlm.training.kernels import apply_kernels
from rscovlm.training.loading import load_model
from rscovlm.training.memory import estimate
from rscovlm.training.precision import warn_of_rounding
from rscovlm.training.preflight import Preflight
from rscovlm.training.provenance import check_same_run, run_of, sources_of
from rscovlm.training.recipe import TrainingRecipe
from rscovlm.training.run import TrainingRun, check_output
from rscovlm.training.run_data import Opened, open_data
from rscovlm.training.run_settings import DataSettings, ModelSettings, TrainerSettings
from rscovlm.training.segments import isolate_samples
from rscovlm.training.sft import build_trainer, check_fixed

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Loaded:
    """The weights, found to fit into memory.

    Attributes:
        model: The model.
        report: What the check found, the memory of the run included.
    """

    model: Any
    report: Preflight


def prepare(
    recipe: TrainingRecipe, *, root: str | Path, output: str | Path, resume: bool = False, **arguments: Any
) -> TrainingRun:
    """Check a recipe, open its data, load the model, and build the trainer.

    Args:
        recipe: What to run.
        root: Folder that the recipe's data paths are relative to.
        output: Where checkpoints go.
        resume: Resume from the last whole checkpoint in ``output``; if there is none, begin.
        arguments: For `trl.SFTConfig`, over those of the recipe.

    Raises:
        ValueError: The recipe does not fit the model, the check before the first step found something wrong, the output
            folder cannot be written to, or the checkpoint to resume from is of another recipe or other records.
    """
    weighting = recipe.weighting()
    trained = {**trainer_arguments(recipe.train), **arguments, "output_dir": str(output)}
    check_fixed(trained, weighting)
    check_trainer(trained)
    adapter, quantization = adapter_config(recipe.lora), quantization_config(recipe.quantization)
    base = base_of(recipe.model) if recipe.lora is not None else None
    if base is not None:
        adapter = continued(recipe.model, adapter, recipe.lora or ())
    trainer = TrainerSettings(
        arguments=trained,
        learning_rates=recipe.learning_rates,
        weighting=weighting,
        tolerate=recipe.mixture.tolerate,
        resizer=recipe.resizer,
        recipe=recipe.to_dict(),
    )
    check_output(output, resumed=resume)
    checkpoint = _last_of(output, trainer) if resume else None
    model = ModelSettings(
        name=recipe.model,
        base=base,
        dtype=recipe.dtype,
        attention=recipe.attention,
        quantization=quantization,
        adapter=adapter,
        frozen=recipe.freeze,
        checkpoint=checkpoint,
    )
    data = DataSettings(
        mixture=recipe.mixture,
        root=root,
        steps=recipe.steps,
        epochs=recipe.epochs,
        packing=recipe.packing,
        evaluation=recipe.evaluation,
        balance=recipe.balance,
        batch=trainer.batch,
        rows_per_step=trainer.rows_per_step,
        checkpoint=checkpoint,
    )
    opened = open_data(data, model)
    loaded = load(model, opened, trainer.arguments)
    return ready(trainer, model, opened, loaded)


def _last_of(output: str | Path, trainer: TrainerSettings) -> Path | None:
    """Return the last whole checkpoint of a folder, which is of this run; None where there is none."""
    checkpoint = to_go_on_from(output)
    if checkpoint is not None:
        check_same_run(checkpoint, trainer.recipe, trainer.rows_per_step)
        logger.info("resuming from %s", checkpoint)
    return checkpoint


def load(settings: ModelSettings, opened: Opened, arguments: Mapping[str, Any]) -> Loaded:
    """Load the weights, choose attention and kernels, and estimate the memory of the run.

    Args:
        settings: Which model, and what of it learns.
        opened: The data, whose largest batch memory depends on.
        arguments: For `trl.SFTConfig`, on which memory depends too.

    Raises:
        ValueError: The model cannot be loaded, or does not fit the recipe.
    """
    model = load_model(
        settings.weights, dtype=settings.dtype, attention=settings.attention, quantization=settings.quantization
    )
    if settings.attention is None:
        for part, fault in choose_attention(model).items():
            logger.info("attention of the %s: %s", part, fault)
    apply_kernels(model)
    memory = estimate(model, opened.report.row, arguments, adapter=settings.adapter, frozen=settings.frozen)
    step = opened.report.step.of_model(sum(weight.numel() for weight in model.parameters()))
    report = replace(opened.report, memory=memory, step=step)
    logger.log(logging.INFO if memory.fits else logging.WARNING, "%s", report.text())
    if opened.packed is not None:
        isolate_samples(model)
    logger.info("attention: %s", attention_of(model))
    return Loaded(model, report)


def ready(settings: TrainerSettings, model: ModelSettings, opened: Opened, loaded: Loaded) -> TrainingRun:
    """Build the trainer.

    Args:
        settings: How it trains.
        model: What learns.
        opened: The data.
        loaded: The weights.

    Raises:
        ValueError: An argument of the trainer would undo what the recipe promises.
    """
    packed, rounds, origins = opened.packed, opened.rounds, sources_of(opened.mixture)
    collator = (Collator if packed is None else PackedCollator)(opened.processor, notes=True, resizer=settings.resizer)
    logger.info("images are resized by: %s", collator.resizer)
    trainer = build_trainer(
        loaded.model,
        opened.processor,
        opened.mixture if packed is None else packed,
        collator=collator,
        peft_config=model.adapter,
        frozen=model.frozen,
        learning_rates=settings.learning_rates,
        callbacks=[callback for callback in (opened.answers, rounds) if callback is not None],
        rounds=rounds,
        weighting=settings.weighting,
        tolerate=settings.tolerate,
        describe=lambda step, processes: {
            **run_of(
                settings.recipe,
                records=opened.records,
                rows_per_step=settings.rows_per_step,
                step=step,
                processes=processes,
            ),
            "sources": origins,
            "resizer": collator.resizer,
            "changes": [] if rounds is None else rounds.to_dict(),
        },
        **{**settings.arguments, "max_steps": opened.steps},
    )
    if model.adapter_weights is not None:
        load_adapter(trainer.model, model.adapter_weights)
    warn_of_rounding(trainer)
    return TrainingRun(trainer, loaded.report, model.checkpoint)
