"""Supervised fine-tuning through TRL's own `SFTTrainer`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from rscovlm.training.blank_image import show_blank
from rscovlm.training.collator import Collator
from rscovlm.training.packing import PackedMixture, drops_of
from rscovlm.training.parts import Part
from rscovlm.training.weighting import Weighting

SFT_ARGUMENTS: Mapping[str, Any] = {
    "max_length": None,
    "packing": False,
    "padding_free": False,
    "per_device_eval_batch_size": 1,
    "remove_unused_columns": False,
    "ignore_data_skip": False,
    "auto_find_batch_size": False,
    "train_sampling_strategy": "sequential",
    "dataset_kwargs": {"skip_prepare_dataset": True},
}
"""Arguments of `trl.SFTConfig` with which TRL neither cuts, joins nor reorders samples, and evaluates one packed row at a
time; what `build_trainer` sets, and what a stock `trl.SFTTrainer` wants beside our collators."""


def build_trainer(
    model: Any,
    processor: Any,
    mixture: Sequence[Any],
    *,
    collator: Any = None,
    optimizer: Any = None,
    callbacks: Any = None,
    peft_config: Any = None,
    weighting: Weighting | None = None,
    tolerate: float = 0.005,
    describe: Any = None,
    rounds: Any = None,
    frozen: Collection[Part] = (),
    learning_rates: Mapping[Part, float] | None = None,
    **arguments: Any,
) -> Any:
    """Build a `trl.SFTTrainer` that walks a mixture in order and tells the tasks apart.

    TRL's own preparation is switched off (it cuts image tokens, drops ``tools`` and images in tool turns); the loss,
    its optimiser and its distribution are as TRL ships them.

    Args:
        model: A Qwen2.5-VL or Qwen3-VL model.
        processor: Its `RSCoVLMProcessor`.
        mixture: Samples by position, or packs of them; row i is the i-th trained.
        collator: Turns rows into batches; a `Collator` where None.
        optimizer: Replaces the one that ``arguments`` would make.
        callbacks: Handed to the trainer.
        peft_config: Adapter to train in place of the weights.
        weighting: As in `TaskTrainer`.
        tolerate: As in `TaskTrainer`.
        describe: As in `TaskTrainer`.
        rounds: `Rounds` that change the mixture's weights while training; None changes none.
        frozen: As in `TaskTrainer`.
        learning_rates: As in `TaskTrainer`.
        arguments: For `trl.SFTConfig`.

    Raises:
        ValueError: An argument that would undo what the mixture and the collator promise.
    """
    from trl import SFTConfig

    from rscovlm.training.trainer import TaskTrainer

    if rounds is not None and arguments.get("dataloader_persistent_workers"):
        raise ValueError("dataloader_persistent_workers would draw with the weights of earlier rounds; leave it out")

    check_fixed(arguments, weighting)
    if "activation_checkpointing" in arguments and not hasattr(SFTConfig, "activation_checkpointing"):
        arguments["gradient_checkpointing"] = arguments.pop("activation_checkpointing")  # as older transformers call it
    show_blank(model)
    drawn = mixture.mixture if isinstance(mixture, PackedMixture) else mixture
    return TaskTrainer(
        shares=getattr(drawn, "shares_at", None),
        weighting=weighting,
        tolerate=tolerate,
        describe=describe,
        packed=mixture if isinstance(mixture, PackedMixture) else None,
        model=model,
        args=SFTConfig(**{"report_to": "none", **arguments, **SFT_ARGUMENTS}),
        data_collator=collator or Collator(processor, notes=True),
        train_dataset=as_dataset(mixture, rounds),
        processing_class=processor,
        optimizers=(optimizer, None),
        callbacks=callbacks,
        peft_config=peft_config,
        frozen=frozen,
        learning_rates=learning_rates,
    )


def check_fixed(arguments: Mapping[str, Any], weighting: Weighting | None = None) -> None:
    """Refuse arguments for the trainer that would undo what the mixture, the collator and the weighting promise.

    Args:
        arguments: For `trl.SFTConfig`.
        weighting: How much each trained token weighs, where not all weigh the same.

    Raises:
        ValueError: One of `SFT_ARGUMENTS` has another value there, or the loss to be weighed is another than the plain one;
            the message names it.
    """
    for name, value in SFT_ARGUMENTS.items():
        if arguments.get(name, value) != value:
            raise ValueError(
                f"{name}={arguments[name]!r} would cut, join or reorder samples; leave it out (it is {value!r})"
            )
    # Both are computed by TRL in ways that pass the weights over.
    for name, plain in (("loss_type", ("nll", "chunked_nll", None)), ("label_smoothing_factor", (0, None))):
        if weighting and arguments.get(name) not in plain:
            raise ValueError(
                f"{name}={arguments[name]!r} is not the loss that task_weights, token_weights and loss_per weigh; "
                "leave it or them out"
            )


def as_dataset(mixture: Sequence[Any], rounds: Any = None) -> Any:
    """Return a `datasets.Dataset` whose row i is drawn from the mixture at position i, when it is asked for.

    TRL takes nothing but a `datasets.Dataset`; this one stores positions only.

    Args:
        mixture: Samples, or packs of them, by position.
        rounds: `Rounds` to draw one of at a time, from its first row on; None draws all.
    """
    from datasets import Dataset

    draw_at = getattr(mixture, "draw_at", None)
    rows = len(mixture) if rounds is None else min(rounds.rows, len(mixture))
    positions = Dataset.from_dict({"position": range(rows)})

    def draw(rows: dict[str, list[int]]) -> dict[str, list[Any]]:
        samples = []
        for place in rows["position"]:
            position = place if rounds is None else rounds.first_row + place
            before = drops_of(mixture)
            sample = mixture[position]
            drawn = {} if draw_at is None else {"subset": draw_at(position)[0]}
            samples.append({"dropped": dict(drops_of(mixture) - before), **sample, **drawn, "position": position})
        names = dict.fromkeys(name for sample in samples for name in sample)
        return {name: [sample.get(name) for sample in samples] for name in names}

    return positions.with_transform(draw)
