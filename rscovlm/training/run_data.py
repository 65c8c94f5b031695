"""The second stage of a run: records and processor opened, and what is trained held against what is true."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Any

from rscovlm.loading import load_processor
from rscovlm.mixtures.weight_stages import Stages
from rscovlm.records.pictures import loaded
from rscovlm.records.tally import Tally
from rscovlm.training.encoding import Encoder
from rscovlm.training.fitting import Fitting, ways_of
from rscovlm.training.loading import check_model, fit_processor
from rscovlm.training.packing import PackedMixture
from rscovlm.training.preflight import Preflight, preflight
from rscovlm.training.provenance import changes_of, check_same_records, records_of
from rscovlm.training.recipe import Packing
from rscovlm.training.rounds import Rebalanced, Rounds
from rscovlm.training.run_settings import DataSettings, ModelSettings
from rscovlm.training.step_estimate import estimate_step

logger = logging.getLogger(__name__)

_MOST_ROWS = 10**12
"""Upper bound that catches typos: no real run has this many rows."""


@dataclass(frozen=True)
class Opened:
    """The recipe's data, found to say what its labels say.

    Attributes:
        processor: The model's processor, with the recipe's budget.
        steps: Optimiser steps.
        mixture: Samples by position.
        packed: Rows of samples, or None where samples are not packed.
        records: What the run's provenance says of the records.
        rounds: The callback that changes weights, or None.
        answers: The callback that measures a fixed set, or None.
        report: What the check before the first step found.
    """

    processor: Any
    steps: int
    mixture: Stages
    packed: PackedMixture | None
    records: Any
    rounds: Rounds | None
    answers: Any
    report: Preflight


def open_data(data: DataSettings, model: ModelSettings) -> Opened:
    """Open records and processor, and hold what is trained against what is true.

    Args:
        data: What is drawn from.
        model: Whose processor encodes it; no weights are loaded.

    Raises:
        ValueError: Data or labels are not what the recipe needs.
    """
    processor = load_processor(model.processor)
    fit_processor(processor, data.mixture.budget, data.mixture.codec, model.name)
    reached: list[str] = []
    if model.adapter is not None or model.attention is not None:
        reached = check_model(model.start, attention=model.attention, adapter=model.adapter)
    steps = data.steps or _steps_of(data, processor)
    rows = steps * data.rows_per_step
    if rows > _MOST_ROWS:
        raise ValueError(f"{steps} steps of {data.rows_per_step} rows are {rows} rows; give fewer than {_MOST_ROWS}")
    mixture = data.mixture.build(data.root, length=data.positions(rows), codec=processor.dialect)
    records = records_of(mixture)
    if data.checkpoint is not None:
        check_same_records(data.checkpoint, records)
    rounds = _rounds(data, mixture)
    if rounds is not None:
        # Loaders look ahead to the end of a round, which may lie beyond the last step.
        rows = -(-rows // rounds.rows) * rounds.rows
    packed = _packed(data.packing, mixture, processor, rows, lanes=data.rows_per_step)
    report = preflight(
        mixture,
        processor,
        packed=packed,
        batch=data.batch,
        steps=steps,
        rows_per_step=data.rows_per_step,
        tolerate=data.mixture.tolerate,
    )
    answers = _answers(data, processor, rounds)
    report = replace(report, reached=tuple(reached))
    return Opened(processor, steps, mixture, packed, records, rounds, answers, report)


def _rounds(data: DataSettings, mixture: Stages) -> Rounds | None:
    """Return the callback that changes weights, with the changes made so far, or None."""
    if data.balance is None:
        return None
    limited = [subset.name for subset in data.mixture.subsets if subset.epochs is not None]
    if limited:
        raise ValueError(
            f"balance changes weights as it goes, so when {', '.join(limited)} completes its epochs cannot be planned; leave out one of the two"
        )
    made = [] if data.checkpoint is None else [Rebalanced.from_dict(change) for change in changes_of(data.checkpoint)]
    return Rounds(data.balance, mixture, rows_per_step=data.rows_per_step, changes=made)


def _answers(data: DataSettings, processor: Any, rounds: Rounds | None) -> Any:
    """Return the callback that measures the recipe's fixed set, or None."""
    wanted = data.evaluation
    if wanted is None:
        return None
    from rscovlm.training.evaluation import Answers, check_targets

    mixture = replace(data.mixture, subsets=wanted.subsets, schedule=()).build(
        data.root, length=wanted.count, codec=processor.dialect
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
    if data.balance is not None:
        check_targets(data.balance.targets, samples)
    return Answers(
        samples,
        every=wanted.every,
        max_new_tokens=wanted.max_new_tokens,
        decide=None if rounds is None else rounds.decide,
    )


def _steps_of(data: DataSettings, processor: Any) -> int:
    """Return the steps that the epochs of a recipe take; the same at every start, since its records are."""
    rows = 64 * data.rows_per_step
    mixture = data.mixture.build(data.root, length=data.positions(rows), codec=processor.dialect)
    packed = _packed(data.packing, mixture, processor, rows, lanes=data.rows_per_step)
    encoder = Encoder(processor)
    encoded = [] if packed is not None else [encoder(mixture[position]) for position in range(16)]
    estimated = estimate_step(mixture, encoded, packed=packed, rows_per_step=data.rows_per_step)
    return estimated.steps_of(data.epochs or 1)


def _packed(packing: Packing | None, mixture: Stages, processor: Any, rows: int, *, lanes: int) -> PackedMixture | None:
    if packing is None:
        return None
    encoder = Encoder(processor)
    return PackedMixture(
        mixture,
        length=encoder,
        budget=packing.tokens,
        lookahead=packing.lookahead,
        rows=rows,
        lanes=lanes,
        fit=Fitting(encoder, ways_of(packing.too_long), overlap=packing.overlap, least_tile=packing.least_tile),
    )
