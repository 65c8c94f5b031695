"""Training recipes: a YAML file that says which model learns what, and how; the same for the command and the example."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from rscovlm.embedded import embedded_model
from rscovlm.loading import load_processor
from rscovlm.mixtures.balance import BalanceRule
from rscovlm.mixtures.mixture import Stages
from rscovlm.mixtures.recipe import MixtureRecipe, SubsetRecipe
from rscovlm.records.names import TASKS
from rscovlm.records.pictures import loaded
from rscovlm.records.tally import Tally
from rscovlm.settings.checked import known_fields
from rscovlm.settings.nearest import nearest
from rscovlm.settings.yamlfiles import read_yaml
from rscovlm.training.adapters import base_of
from rscovlm.training.arguments import adapter_config, check_trainer, quantization_config, trainer_arguments
from rscovlm.training.attention import attention_of, choose_attention
from rscovlm.training.checkpoints import to_go_on_from
from rscovlm.training.collator import Collator, PackedCollator
from rscovlm.training.encoding import Encoder
from rscovlm.training.fitting import Fitting, Way, ways_of
from rscovlm.training.kernels import apply_kernels
from rscovlm.training.loading import check_model, fit_processor, load_model
from rscovlm.training.memory import estimate
from rscovlm.training.packing import PackedMixture
from rscovlm.training.parts import Part
from rscovlm.training.precision import warn_of_rounding
from rscovlm.training.preflight import preflight
from rscovlm.training.provenance import changes_of, check_same_records, check_same_run, records_of, run_of
from rscovlm.training.rounds import Rebalanced, Rounds
from rscovlm.training.run import Run, check_output
from rscovlm.training.segments import isolate_samples
from rscovlm.training.sft import build_trainer, check_fixed
from rscovlm.training.step_estimate import estimate_step
from rscovlm.training.weighting import Per, Weighting, Written

logger = logging.getLogger(__name__)

_MOST_ROWS, _MOST_IN_HAND = 10**12, 10**6
"""Rows of a run, tokens of one and samples in hand, that no machine comes to the end of."""

DTYPES = ("float32", "bfloat16", "float16")


@dataclass(frozen=True)
class Packing:
    """How samples share rows.

    Attributes:
        tokens: Token budget of a row.
        lookahead: Samples in hand to choose from.
        too_long: What becomes of a sample longer than the budget: ``"drop"``, ``"shrink"`` to show its image smaller
            where that makes it fit, ``"split"`` to cut a detection into tiles, or several to try in order. All is counted.
        overlap: Share of a tile's side that neighbours have in common.
        least_tile: Longest side, in the image's pixels, of what is not cut further.

    Raises:
        ValueError: ``too_long`` is none of these, or there is no room for a sample.
    """

    tokens: int = 6144
    lookahead: int = 256
    too_long: Way | Sequence[Way] = "drop"
    overlap: float = 0.2
    least_tile: int = 128

    def __post_init__(self) -> None:
        """Refuse what no row can be made with, and what is no way to treat a long sample."""
        if min(self.tokens, self.lookahead) < 1 or self.tokens > _MOST_IN_HAND or self.lookahead > _MOST_IN_HAND:
            raise ValueError(
                f"packing has tokens {self.tokens}, lookahead {self.lookahead}; give 1 or more, and no more than {_MOST_IN_HAND}"
            )
        object.__setattr__(self, "too_long", ways_of(self.too_long))


@dataclass(frozen=True)
class Evaluation:
    """A small fixed set that is answered and measured while training.

    Attributes:
        subsets: Where it is from, as in a mixture.
        count: Samples.
        every: Steps between measurements.
        max_new_tokens: Largest number of tokens of an answer.
    """

    subsets: tuple[SubsetRecipe, ...]
    count: int = 32
    every: int = 500
    max_new_tokens: int = 512


@dataclass(frozen=True)
class TrainingRecipe:
    """A training run.

    Attributes:
        model: Name on the Hub or folder of the model to start from; ``embedded`` for the small one in the package.
        mixture: What it learns.
        steps: Optimiser steps; None counts in epochs.
        epochs: In place of steps, passes over the rows of all subsets: so many samples are trained, in the shares of the
            weights. The steps are estimated from the first rows.
        packing: How samples share rows; None pads them side by side.
        freeze: Parts of the model that stay as they are.
        learning_rates: Learning rate by part, for those that differ from ``train.learning_rate``.
        lora: Arguments of `peft.LoraConfig`; None trains the weights themselves.
        quantization: Arguments of `transformers.BitsAndBytesConfig` to load the model with, under adapters (QLoRA); None
            leaves the weights as they are.
        attention: Attention to load the model with; None takes the best that is installed.
        dtype: Type of the weights.
        task_weights: Factor of the loss by task, 1 for those not named.
        token_weights: Factor of the loss of ``digits`` and of all other tokens, ``words``.
        loss_per: What weighs the same in the loss: every ``"token"``, every ``"sample"``, or ``"root"`` between; see
            `Weighting`.
        evaluation: What is measured while training; None measures nothing.
        balance: How the weights of the mixture follow from what is measured; None leaves them as they are.
        train: Arguments of `trl.SFTConfig`.
    """

    model: str
    mixture: MixtureRecipe
    steps: int | None = None
    epochs: float | None = None
    packing: Packing | None = field(default_factory=Packing)
    freeze: tuple[Part, ...] = ()
    learning_rates: Mapping[Part, float] = field(default_factory=dict)
    lora: Mapping[str, Any] | None = None
    quantization: Mapping[str, Any] | None = None
    attention: str | None = None
    dtype: str = "bfloat16"
    task_weights: Mapping[str, float] = field(default_factory=dict)
    token_weights: Mapping[Written, float] = field(default_factory=dict)
    loss_per: Per = "token"
    evaluation: Evaluation | None = None
    balance: BalanceRule | None = None
    train: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, content: Any) -> TrainingRecipe:
        """Read the recipe's plain values.

        Raises:
            ValueError: A key is unknown (the nearest right one is named), or a value is of no use.
        """
        values = known_fields(content, cls, "the recipe")
        if not values["model"]:
            raise ValueError("the recipe has no model; give the folder of a checkpoint, or its name on the Hub")
        for name, least in (("steps", 1), ("epochs", 0.001)):
            if values.get(name) is not None and not least <= values[name] < _MOST_ROWS:
                raise ValueError(f"{name} of the recipe is {values[name]}; give {least} or more")
        counted = [name for name in ("steps", "epochs") if values.get(name) is not None]
        if len(counted) != 1:
            both = "both steps and epochs" if counted else "no steps"
            raise ValueError(f"the recipe has {both}; give either steps or epochs")
        if values.get("dtype", "bfloat16") not in DTYPES:
            raise ValueError(f"dtype of the recipe is {values['dtype']!r}{nearest(values['dtype'], DTYPES)}")
        values["mixture"] = MixtureRecipe.from_dict(values["mixture"])
        if values.get("packing") is not None:
            values["packing"] = Packing(**known_fields(values["packing"], Packing, "packing"))
        if values.get("evaluation") is not None:
            evaluation = known_fields(values["evaluation"], Evaluation, "evaluation")
            parsed = MixtureRecipe.from_dict({"subsets": evaluation.get("subsets")})
            values["evaluation"] = Evaluation(**{**evaluation, "subsets": parsed.subsets})
        if values.get("balance") is not None:
            values["balance"] = BalanceRule(**known_fields(values["balance"], BalanceRule, "balance"))
        values["freeze"] = tuple(values.get("freeze", ()))
        for name in values.get("task_weights", ()):
            if name not in TASKS:
                raise ValueError(f"task_weights of the recipe has {name!r}, which is no task{nearest(name, TASKS)}")
        recipe = cls(**values)
        if recipe.quantization is not None and recipe.lora is None:
            raise ValueError(
                "quantization is set and lora is not: weights of few bits cannot be trained; give lora, or leave it out"
            )
        for part in recipe.freeze:
            if part in recipe.learning_rates:
                raise ValueError(f"freeze and learning_rates both name {part!r}; leave it out of one of them")
        if recipe.train.get("fp16") and recipe.dtype != "float32" and recipe.lora is None:
            raise ValueError(
                f"train.fp16 is set with dtype {recipe.dtype!r}; set dtype to float32, or bf16 in its place"
            )
        if recipe.dtype == "float16" and recipe.lora is None:
            raise ValueError(
                "dtype of the recipe is 'float16', whose steps underflow; give bfloat16 or float32, or train lora"
            )
        for part, rate in recipe.learning_rates.items():
            if rate < 0:
                raise ValueError(f"{part} in learning_rates of the recipe is {rate}; give 0 or more")
        recipe.weighting()
        recipe._check_balance()
        return recipe

    @classmethod
    def load(cls, path: str | Path) -> TrainingRecipe:
        """Read a recipe from a YAML file."""
        return cls.from_dict(read_yaml(path))

    def _check_balance(self) -> None:
        """Refuse a balance that nothing could follow."""
        if self.balance is None:
            return
        if self.evaluation is None or self.balance.every % self.evaluation.every:
            raise ValueError(
                f"balance acts every {self.balance.every} steps on what is measured "
                + (f"every {self.evaluation.every}" if self.evaluation else "by no evaluation")
                + "; give an evaluation whose every divides that of balance"
            )
        if self.mixture.schedule:
            raise ValueError("the mixture's schedule and balance both change its weights; keep one of them")
        names = {subset.name for subset in self.mixture.subsets if subset.weight > 0}
        for name in self.balance.targets:
            if name not in names:
                raise ValueError(
                    f"balance has targets of {name!r}; subsets with a weight are {', '.join(sorted(names))}"
                )

    def weighting(self) -> Weighting:
        """Return how much each trained token weighs."""
        return Weighting(dict(self.task_weights.items()), self.token_weights, self.loss_per)

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe as plain values, every default written out."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain


def prepare(
    recipe: TrainingRecipe, *, root: str | Path, output: str | Path, resume: bool = False, **arguments: Any
) -> Run:
    """Load model and data, check them, and build the trainer.

    Args:
        recipe: What to run.
        root: Folder that the recipe's data paths are relative to.
        output: Where checkpoints go.
        resume: Go on from the last whole checkpoint in ``output``; where there is none, begin.
        arguments: For `trl.SFTConfig`, over those of the recipe.

    Raises:
        ValueError: The recipe does not fit the model, the check before the first step found something wrong, the output
            folder cannot be written to, or the checkpoint to go on from is of another recipe or other records.
    """
    settings = {**trainer_arguments(recipe.train), **arguments, "output_dir": str(output)}
    check_fixed(settings, recipe.weighting())
    check_trainer(settings)
    adapter, quantization = adapter_config(recipe.lora), quantization_config(recipe.quantization)
    rows_per_step, plain = _rows_per_step(settings), recipe.to_dict()
    check_output(output, resumed=resume)
    checkpoint = to_go_on_from(output) if resume else None
    if checkpoint is not None:
        check_same_run(checkpoint, plain, rows_per_step)
        logger.info("going on from %s", checkpoint)
    start = embedded_model() if recipe.model == "embedded" else recipe.model
    processor = load_processor(start if checkpoint is None else str(checkpoint))
    fit_processor(processor, recipe.mixture, recipe.model)
    if adapter is not None and base_of(str(start)) is not None:
        raise ValueError(
            f"model {recipe.model!r} is an adapter, and lora of the recipe would train another on top, which would lie on no "
            f"checkpoint; write one by `rscovlm export {recipe.model} FOLDER` and set it as the recipe's model"
        )
    reached: list[str] = []
    if adapter is not None or recipe.attention is not None:
        reached = check_model(start, attention=recipe.attention, adapter=adapter)
    steps = recipe.steps or _steps_of(recipe, root, processor, rows_per_step)
    settings["max_steps"] = steps
    rows = steps * rows_per_step
    if rows > _MOST_ROWS:
        raise ValueError(f"{steps} steps of {rows_per_step} rows are {rows} rows; give fewer than {_MOST_ROWS}")
    # Positions cost nothing; no row can take more of them than it has tokens.
    length = rows * (8 if recipe.packing is None else recipe.packing.tokens)
    mixture = recipe.mixture.build(root, length=length, codec=processor.codec)
    records = records_of(mixture)
    if checkpoint is not None:
        check_same_records(checkpoint, records)
    rounds = _rounds(recipe, mixture, rows_per_step, checkpoint)
    if rounds is not None:
        # Loaders look ahead to the end of a round, which may lie beyond the last step.
        rows = -(-rows // rounds.rows) * rounds.rows
    packed = _packed(recipe, mixture, processor, rows, lanes=rows_per_step)
    report = preflight(
        mixture,
        processor,
        packed=packed,
        batch=_batch(settings),
        steps=steps,
        rows_per_step=rows_per_step,
        tolerate=recipe.mixture.tolerate,
    )
    answers = _answers(recipe, root, processor, rounds)
    # The trainer loads an adapter, or weights in shards, into the model it was made for; whole ones are loaded here, once.
    whole = checkpoint is not None and recipe.lora is None and any(checkpoint.glob("*.safetensors"))
    model = load_model(
        str(checkpoint) if whole else start, dtype=recipe.dtype, attention=recipe.attention, quantization=quantization
    )
    if recipe.attention is None:
        for part, fault in choose_attention(model).items():
            logger.info("attention of the %s: %s", part, fault)
    apply_kernels(model)
    memory = estimate(model, report.row, settings, adapter=adapter, frozen=recipe.freeze)
    step = report.step.of_model(sum(weight.numel() for weight in model.parameters()))
    report = replace(report, memory=memory, step=step, reached=tuple(reached))
    logger.log(logging.INFO if memory.fits else logging.WARNING, "%s", report.text())
    if packed is not None:
        isolate_samples(model)
    logger.info("attention: %s", attention_of(model))
    trainer = build_trainer(
        model,
        processor,
        mixture if packed is None else packed,
        collator=(Collator if packed is None else PackedCollator)(processor, notes=True),
        peft_config=adapter,
        frozen=recipe.freeze,
        learning_rates=recipe.learning_rates,
        callbacks=[callback for callback in (answers, rounds) if callback is not None],
        rounds=rounds,
        weighting=recipe.weighting(),
        tolerate=recipe.mixture.tolerate,
        describe=lambda step, processes: {
            **run_of(plain, records=records, rows_per_step=rows_per_step, step=step, processes=processes),
            "changes": [] if rounds is None else rounds.to_dict(),
        },
        **settings,
    )
    for callback in (answers, rounds):
        if callback is not None:
            callback.trainer = trainer
    warn_of_rounding(trainer)
    return Run(trainer, report, checkpoint)


def _rounds(recipe: TrainingRecipe, mixture: Stages, rows_per_step: int, checkpoint: Path | None) -> Rounds | None:
    """Return the callback that changes weights, with the changes made so far, or None."""
    if recipe.balance is None:
        return None
    limited = [subset.name for subset in recipe.mixture.subsets if subset.epochs is not None]
    if limited:
        raise ValueError(
            f"balance changes weights as it goes, so when {', '.join(limited)} made its epochs cannot be planned; leave out one of the two"
        )
    changes = [] if checkpoint is None else [Rebalanced.from_dict(change) for change in changes_of(checkpoint)]
    return Rounds(recipe.balance, mixture, rows_per_step=rows_per_step, changes=changes)


def _answers(recipe: TrainingRecipe, root: str | Path, processor: Any, rounds: Rounds | None) -> Any:
    """Return the callback that measures the recipe's fixed set, or None."""
    if recipe.evaluation is None:
        return None
    from rscovlm.training.evaluation import Answers, check_targets

    wanted = recipe.evaluation
    mixture = replace(recipe.mixture, subsets=wanted.subsets, schedule=()).build(
        root, length=wanted.count, codec=processor.codec
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
        raise ValueError(f"evaluation has no sample that can be used; mend its records or images\n{tally.table()}")
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


def _steps_of(recipe: TrainingRecipe, root: str | Path, processor: Any, rows_per_step: int) -> int:
    """Return the steps that the epochs of a recipe take; the same at every start, since its records are."""
    rows = 64 * rows_per_step
    length = rows * (8 if recipe.packing is None else recipe.packing.tokens)
    mixture = recipe.mixture.build(root, length=length, codec=processor.codec)
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
