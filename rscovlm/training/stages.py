"""From a recipe to a run in four stages, each with a frozen result: checked, opened, loaded, ready to train.

What is wrong is found in the cheapest stage that can see it: the recipe alone, then its data, then the weights.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rscovlm.embedded import embedded_model
from rscovlm.loading import load_processor
from rscovlm.mixtures.weight_stages import Stages
from rscovlm.records.pictures import loaded
from rscovlm.records.tally import Tally
from rscovlm.training.adapters import base_of, continued, load_adapter
from rscovlm.training.arguments import adapter_config, check_trainer, quantization_config, trainer_arguments
from rscovlm.training.attention import attention_of, choose_attention
from rscovlm.training.checkpoints import to_go_on_from
from rscovlm.training.collator import Collator, PackedCollator
from rscovlm.training.encoding import Encoder
from rscovlm.training.fitting import Fitting, ways_of
from rscovlm.training.kernels import apply_kernels
from rscovlm.training.loading import check_model, fit_processor, load_model
from rscovlm.training.memory import estimate
from rscovlm.training.packing import PackedMixture
from rscovlm.training.precision import warn_of_rounding
from rscovlm.training.preflight import Preflight, preflight
from rscovlm.training.provenance import changes_of, check_same_records, check_same_run, records_of, run_of, sources_of
from rscovlm.training.recipe import TrainingRecipe
from rscovlm.training.rounds import Rebalanced, Rounds
from rscovlm.training.run import TrainingRun, check_output
from rscovlm.training.segments import isolate_samples
from rscovlm.training.sft import build_trainer, check_fixed
from rscovlm.training.step_estimate import estimate_step

logger = logging.getLogger(__name__)

_MOST_ROWS = 10**12
"""Upper bound that catches typos: no real run has this many rows."""


@dataclass(frozen=True)
class Checked:
    """What the recipe alone says, found to fit together.

    Attributes:
        recipe: What to run.
        root: Folder that the recipe's data paths are relative to.
        settings: For `trl.SFTConfig`.
        adapter: Configuration of the adapter to train, or None.
        quantization: Configuration of weights of few bits, or None.
        rows_per_step: Rows that all processes together train in a step.
        checkpoint: The checkpoint that the run resumes from; None starts anew.
        base: What the recipe's model stands on, where that is an adapter which is trained further; else None.
    """

    recipe: TrainingRecipe
    root: str | Path
    settings: Mapping[str, Any]
    adapter: Any
    quantization: Any
    rows_per_step: int
    checkpoint: Path | None
    base: str | None = None

    @property
    def start(self) -> Any:
        """The recipe's model, as a folder or a name on the Hub."""
        return embedded_model() if self.recipe.model == "embedded" else self.recipe.model

    @property
    def batch(self) -> int:
        """Rows of a batch on one process."""
        return _batch(self.settings)


@dataclass(frozen=True)
class Opened:
    """The recipe's data, found to say what its labels say.

    Attributes:
        checked: The stage before.
        processor: The model's processor, with the recipe's budget.
        settings: For `trl.SFTConfig`, with the number of steps.
        mixture: Samples by position.
        packed: Rows of samples, or None where samples are not packed.
        records: What the run's provenance says of the records.
        rounds: The callback that changes weights, or None.
        answers: The callback that measures a fixed set, or None.
        report: What the check before the first step found.
    """

    checked: Checked
    processor: Any
    settings: Mapping[str, Any]
    mixture: Stages
    packed: PackedMixture | None
    records: Any
    rounds: Rounds | None
    answers: Any
    report: Preflight


@dataclass(frozen=True)
class Loaded:
    """The weights, found to fit into memory.

    Attributes:
        opened: The stage before.
        model: The model.
        report: What the check found, the memory of the run included.
    """

    opened: Opened
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
    return ready(load(open_data(check(recipe, root=root, output=output, resume=resume, **arguments))))


def check(
    recipe: TrainingRecipe, *, root: str | Path, output: str | Path, resume: bool = False, **arguments: Any
) -> Checked:
    """Check what the recipe alone says; arguments and errors as in `prepare`."""
    settings = {**trainer_arguments(recipe.train), **arguments, "output_dir": str(output)}
    check_fixed(settings, recipe.weighting())
    check_trainer(settings)
    adapter, quantization = adapter_config(recipe.lora), quantization_config(recipe.quantization)
    base = base_of(recipe.model) if recipe.lora is not None else None
    if base is not None:
        adapter = continued(recipe.model, adapter, recipe.lora or ())
    rows_per_step = _rows_per_step(settings)
    check_output(output, resumed=resume)
    checkpoint = to_go_on_from(output) if resume else None
    if checkpoint is not None:
        check_same_run(checkpoint, recipe.to_dict(), rows_per_step)
        logger.info("resuming from %s", checkpoint)
    return Checked(recipe, root, settings, adapter, quantization, rows_per_step, checkpoint, base)


def open_data(checked: Checked) -> Opened:
    """Open records and processor, and hold what is trained against what is true.

    Raises:
        ValueError: Data or labels are not what the recipe needs.
    """
    recipe, checkpoint = checked.recipe, checked.checkpoint
    processor = load_processor(checked.start if checkpoint is None else str(checkpoint))
    fit_processor(processor, recipe.mixture, recipe.model)
    reached: list[str] = []
    if checked.adapter is not None or recipe.attention is not None:
        reached = check_model(checked.start, attention=recipe.attention, adapter=checked.adapter)
    steps = recipe.steps or _steps_of(checked, processor)
    rows = steps * checked.rows_per_step
    if rows > _MOST_ROWS:
        raise ValueError(f"{steps} steps of {checked.rows_per_step} rows are {rows} rows; give fewer than {_MOST_ROWS}")
    # Positions cost nothing; no row can take more of them than it has tokens.
    length = rows * (8 if recipe.packing is None else recipe.packing.tokens)
    mixture = recipe.mixture.build(checked.root, length=length, codec=processor.dialect)
    records = records_of(mixture)
    if checkpoint is not None:
        check_same_records(checkpoint, records)
    rounds = _rounds(checked, mixture)
    if rounds is not None:
        # Loaders look ahead to the end of a round, which may lie beyond the last step.
        rows = -(-rows // rounds.rows) * rounds.rows
    packed = _packed(recipe, mixture, processor, rows, lanes=checked.rows_per_step)
    report = preflight(
        mixture,
        processor,
        packed=packed,
        batch=checked.batch,
        steps=steps,
        rows_per_step=checked.rows_per_step,
        tolerate=recipe.mixture.tolerate,
    )
    settings = {**checked.settings, "max_steps": steps}
    answers = _answers(checked, processor, rounds)
    report = replace(report, reached=tuple(reached))
    return Opened(checked, processor, settings, mixture, packed, records, rounds, answers, report)


def load(opened: Opened) -> Loaded:
    """Load the weights, choose attention and kernels, and estimate the memory of the run.

    Raises:
        ValueError: The model cannot be loaded, or does not fit the recipe.
    """
    checked, recipe = opened.checked, opened.checked.recipe
    checkpoint = checked.checkpoint
    # The trainer loads an adapter, or weights in shards, into the model it was made for; whole ones are loaded here, once.
    whole = checkpoint is not None and recipe.lora is None and any(checkpoint.glob("*.safetensors"))
    model = load_model(
        str(checkpoint) if whole else checked.base or checked.start,
        dtype=recipe.dtype,
        attention=recipe.attention,
        quantization=checked.quantization,
    )
    if recipe.attention is None:
        for part, fault in choose_attention(model).items():
            logger.info("attention of the %s: %s", part, fault)
    apply_kernels(model)
    memory = estimate(model, opened.report.row, opened.settings, adapter=checked.adapter, frozen=recipe.freeze)
    step = opened.report.step.of_model(sum(weight.numel() for weight in model.parameters()))
    report = replace(opened.report, memory=memory, step=step)
    logger.log(logging.INFO if memory.fits else logging.WARNING, "%s", report.text())
    if opened.packed is not None:
        isolate_samples(model)
    logger.info("attention: %s", attention_of(model))
    return Loaded(opened, model, report)


def ready(stage: Loaded) -> TrainingRun:
    """Build the trainer.

    Raises:
        ValueError: An argument of the trainer would undo what the recipe promises.
    """
    opened, checked = stage.opened, stage.opened.checked
    recipe, packed, rounds = checked.recipe, opened.packed, opened.rounds
    plain, origins = recipe.to_dict(), sources_of(opened.mixture)
    collator = (Collator if packed is None else PackedCollator)(opened.processor, notes=True, resizer=recipe.resizer)
    logger.info("images are resized by: %s", collator.resizer)
    trainer = build_trainer(
        stage.model,
        opened.processor,
        opened.mixture if packed is None else packed,
        collator=collator,
        peft_config=checked.adapter,
        frozen=recipe.freeze,
        learning_rates=recipe.learning_rates,
        callbacks=[callback for callback in (opened.answers, rounds) if callback is not None],
        rounds=rounds,
        weighting=recipe.weighting(),
        tolerate=recipe.mixture.tolerate,
        describe=lambda step, processes: {
            **run_of(
                plain, records=opened.records, rows_per_step=checked.rows_per_step, step=step, processes=processes
            ),
            "sources": origins,
            "resizer": collator.resizer,
            "changes": [] if rounds is None else rounds.to_dict(),
        },
        **opened.settings,
    )
    if checked.base is not None and checked.checkpoint is None:
        load_adapter(trainer.model, recipe.model)
    warn_of_rounding(trainer)
    return TrainingRun(trainer, stage.report, checked.checkpoint)


def _rounds(checked: Checked, mixture: Stages) -> Rounds | None:
    """Return the callback that changes weights, with the changes made so far, or None."""
    recipe, checkpoint = checked.recipe, checked.checkpoint
    if recipe.balance is None:
        return None
    limited = [subset.name for subset in recipe.mixture.subsets if subset.epochs is not None]
    if limited:
        raise ValueError(
            f"balance changes weights as it goes, so when {', '.join(limited)} made its epochs cannot be planned; leave out one of the two"
        )
    changes = [] if checkpoint is None else [Rebalanced.from_dict(change) for change in changes_of(checkpoint)]
    return Rounds(recipe.balance, mixture, rows_per_step=checked.rows_per_step, changes=changes)


def _answers(checked: Checked, processor: Any, rounds: Rounds | None) -> Any:
    """Return the callback that measures the recipe's fixed set, or None."""
    recipe = checked.recipe
    if recipe.evaluation is None:
        return None
    from rscovlm.training.evaluation import Answers, check_targets

    wanted = recipe.evaluation
    mixture = replace(recipe.mixture, subsets=wanted.subsets, schedule=()).build(
        checked.root, length=wanted.count, codec=processor.dialect
    )
    samples, tally = [], Tally(1.0)
    for position in range(wanted.count):
        with tally.row(f"position {position}"):
            sample = mixture[position]
            for image in sample["images"]:
                loaded(image)
            samples.append(sample)
            tally.keep()
    if tally.dropped:
        logger.warning("of the samples to evaluate on, %s", tally.table())
    if not samples:
        raise ValueError(f"evaluation has no sample that can be used; correct its records or images\n{tally.table()}")
    if recipe.balance is not None:
        check_targets(recipe.balance.targets, samples)
    return Answers(
        samples,
        every=wanted.every,
        max_new_tokens=wanted.max_new_tokens,
        decide=None if rounds is None else rounds.decide,
    )


def _rows_per_step(settings: Mapping[str, Any]) -> int:
    """Return the rows that all processes together train in a step."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    return _batch(settings) * int(settings.get("gradient_accumulation_steps", 1)) * world


def _steps_of(checked: Checked, processor: Any) -> int:
    """Return the steps that the epochs of a recipe take; the same at every start, since its records are."""
    recipe, rows_per_step = checked.recipe, checked.rows_per_step
    rows = 64 * rows_per_step
    length = rows * (8 if recipe.packing is None else recipe.packing.tokens)
    mixture = recipe.mixture.build(checked.root, length=length, codec=processor.dialect)
    packed = _packed(recipe, mixture, processor, rows, lanes=rows_per_step)
    encoder = Encoder(processor)
    encoded = [] if packed is not None else [encoder(mixture[position]) for position in range(16)]
    estimated = estimate_step(mixture, encoded, packed=packed, rows_per_step=rows_per_step)
    return estimated.steps_of(recipe.epochs or 1)


def _batch(settings: Mapping[str, Any]) -> int:
    return int(settings.get("per_device_train_batch_size", 8))


def _packed(recipe: TrainingRecipe, mixture: Stages, processor: Any, rows: int, *, lanes: int) -> PackedMixture | None:
    if recipe.packing is None:
        return None
    encoder, packing = Encoder(processor), recipe.packing
    return PackedMixture(
        mixture,
        length=encoder,
        budget=packing.tokens,
        lookahead=packing.lookahead,
        rows=rows,
        lanes=lanes,
        fit=Fitting(encoder, ways_of(packing.too_long), overlap=packing.overlap, least_tile=packing.least_tile),
    )
