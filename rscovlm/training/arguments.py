"""A recipe's arguments for libraries of others, held against what is installed before anything is loaded."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any, get_type_hints

from rscovlm.settings.checked import checked_value
from rscovlm.settings.nearest import nearest
from rscovlm.training.hub_pushes import WITH_STATES

_LEAST = {
    "learning_rate": 0,
    "weight_decay": 0,
    "max_grad_norm": 0,
    "warmup_steps": 0,
    "per_device_train_batch_size": 1,
    "gradient_accumulation_steps": 1,
    "dataloader_num_workers": 0,
    "logging_steps": 0,
    "save_steps": 0,
    "seed": 0,
}
"""What numbers for the trainer may not be below; it takes less of some of them, and fails at the first step or does nothing."""

_MOST_WORKERS = 1024

_FIXED = ("max_steps", "num_train_epochs", "output_dir")

_NO_EVALUATION = "the trainer itself evaluates nothing; give the recipe an evaluation, and save by steps or not at all"
_REFUSED = {
    "enable_jit_checkpoint": "it saves within a step, which no run can resume from; on SIGTERM a run saves after its step as it is",
    "load_best_model_at_end": _NO_EVALUATION,
    "eval_strategy": _NO_EVALUATION,
    "do_eval": _NO_EVALUATION,
}
"""Arguments that undo what a recipe promises where they are other than off, and why."""


def trainer_arguments(train: Mapping[str, Any]) -> dict[str, Any]:
    """Return a recipe's arguments for the trainer; numbers that YAML took for texts, such as 2e-6, as numbers.

    Args:
        train: Arguments of `trl.SFTConfig`.

    Raises:
        ValueError: A key that it has not (the nearest right one is named), or that the recipe says elsewhere; a value of
            another type, out of its range, or with which a resumed run would be another; a place to log to that is
            not installed.
    """
    from trl import SFTConfig

    known = [entry.name for entry in fields(SFTConfig)]
    types = get_type_hints(SFTConfig)
    found = {}
    for key, value in train.items():
        if key == "activation_checkpointing" and key not in known:  # older transformers, which `build_trainer` knows
            found[key] = value
            continue
        if key not in known:
            raise ValueError(f"train has the unknown key {key!r}{_near(key, known, 'trl.SFTConfig')}")
        if key == "parallelism_config" or (key == "activation_offloading" and train.get("use_cpu")):
            raise ValueError(f"train.{key} is {value!r}, which a recipe cannot set for these processors; leave it out")
        if key == "resume_from_checkpoint":
            raise ValueError(f"train.{key} is {value!r}; leave it out, and give --resume")
        if key in _FIXED:
            raise ValueError(
                f"train.{key} is {value!r}, which steps of the recipe and the output folder say; leave it out"
            )
        _check_course(key, value)
        found[key] = checked_value(value, types[key], f"train.{key}")
        if key in _LEAST and found[key] < _LEAST[key]:
            raise ValueError(f"train.{key} is {value}; give {_LEAST[key]} or more")
        if key == "dataloader_num_workers" and found[key] > _MOST_WORKERS:
            raise ValueError(f"train.{key} is {value}; give {_MOST_WORKERS} or fewer processes")
    _check_loggers(found.get("report_to"))
    return found


def _check_course(key: str, value: Any) -> None:
    """Refuse what undoes the promise that a resumed run equals the one without the interruption."""
    if (key in _REFUSED and value not in (None, False, "no")) or (key == "save_strategy" and value == "best"):
        raise ValueError(f"train.{key} is {value!r}: {_REFUSED.get(key, _NO_EVALUATION)}; leave it out")
    if key == "hub_strategy" and value in WITH_STATES:
        raise ValueError(f"train.{key} is {value!r}, which would push the optimiser's pickles; give end or every_save")
    if key == "accelerator_config" and isinstance(value, Mapping):
        for name in ("split_batches", "dispatch_batches"):
            if value.get(name):
                raise ValueError(
                    f"train.{key}.{name} is {value[name]!r}: every process draws its own rows; leave it out"
                )


def check_trainer(settings: Mapping[str, Any]) -> None:
    """Have the trainer's own checks run on its arguments, before a model is loaded for them.

    Among several processes nothing is done, because these checks would connect them.

    Args:
        settings: Arguments of `trl.SFTConfig`.

    Raises:
        ValueError: It refuses them.
    """
    from trl import SFTConfig

    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        return
    known = {entry.name for entry in fields(SFTConfig)} - {"deepspeed"}
    own = {key: value for key, value in settings.items() if key in known}
    deepspeed = settings.get("deepspeed")
    if isinstance(deepspeed, str) and not os.path.isfile(deepspeed):
        raise ValueError(
            f"train.deepspeed is {deepspeed!r}, where there is no file; give its path from the folder you are in"
        )
    try:
        _try_out(SFTConfig(**{"report_to": "none", **own}))
    except (ValueError, TypeError, KeyError, AttributeError, RuntimeError, OSError, ImportError) as error:
        # TRL, transformers and accelerate refuse values by all of these.
        raise ValueError(f"trl.SFTConfig refuses the values of train: {' '.join(str(error).split())}") from error


def _try_out(arguments: Any) -> None:
    """Build optimiser and schedule for one number, which the trainer builds for the model at its first step."""
    from torch import nn, zeros
    from transformers import Trainer, get_scheduler

    name = str(getattr(arguments.optim, "value", arguments.optim))
    if any(kind in name for kind in ("galore", "apollo", "lomo")):
        return  # they want the model
    kind, options = Trainer.get_optimizer_cls_and_kwargs(arguments)
    optimizer = kind([nn.Parameter(zeros(1))], **options)
    get_scheduler(
        arguments.lr_scheduler_type, optimizer, 1, 10, scheduler_specific_kwargs=arguments.lr_scheduler_kwargs or {}
    )


def adapter_config(lora: Mapping[str, Any] | None) -> Any:
    """Return the adapter to train, or None.

    Args:
        lora: Arguments of `peft.LoraConfig`; None trains none.

    Raises:
        ValueError: A key that it has not (the nearest right one is named), or a value that it does not take.
    """
    if lora is None:
        return None
    from peft import LoraConfig

    known, types = [entry.name for entry in fields(LoraConfig)], get_type_hints(LoraConfig)
    for key in lora:
        if key not in known:
            raise ValueError(f"lora has the unknown key {key!r}{_near(key, known, 'peft.LoraConfig')}")
    if not (lora.get("target_modules") or lora.get("target_parameters")):
        raise ValueError("lora has no target_modules; give it some, such as '.*language_model.*\\.(q_proj|v_proj)'")
    for key in ("target_modules", "exclude_modules"):
        try:
            re.compile(lora[key] if isinstance(lora.get(key), str) else "")
        except re.error as error:
            raise ValueError(f"lora.{key} is {lora[key]!r}, which is no regular expression: {error}") from error
    values = {key: checked_value(value, types[key], f"lora.{key}") for key, value in lora.items()}
    if values.get("r", 1) < 1:
        raise ValueError(f"lora.r is {lora['r']}; give 1 or more")
    return _built(LoraConfig, values, "lora")


def quantization_config(quantization: Mapping[str, Any] | None) -> Any:
    """Return how to load the weights in few bits, or None.

    Args:
        quantization: Arguments of `transformers.BitsAndBytesConfig`; None loads them as they are.

    Raises:
        ValueError: A key that it has not (the nearest right one is named), a value that it does not take, or no bits.
    """
    if quantization is None:
        return None
    from transformers import BitsAndBytesConfig

    known = {
        name: entry.default
        for name, entry in inspect.signature(BitsAndBytesConfig).parameters.items()
        if entry.kind is not inspect.Parameter.VAR_KEYWORD
    }
    for key, value in quantization.items():
        if key not in known:
            raise ValueError(
                f"quantization has the unknown key {key!r}{_near(key, known, 'transformers.BitsAndBytesConfig')}"
            )
        if isinstance(known[key], (bool, float, str)):
            checked_value(value, type(known[key]), f"quantization.{key}")
    if not (quantization.get("load_in_4bit") or quantization.get("load_in_8bit")):
        raise ValueError(
            "quantization names no number of bits; set load_in_4bit or load_in_8bit to true, or leave it out"
        )
    return _built(BitsAndBytesConfig, dict(quantization), "quantization")


def _built(kind: Any, arguments: dict[str, Any], where: str) -> Any:
    try:
        return kind(**arguments)
    except (ValueError, TypeError, AttributeError, RuntimeError) as error:
        # transformers and peft refuse values by all of these.
        raise ValueError(f"{where} is {arguments!r}, which {kind.__name__} refuses: {error}") from error


def _near(key: Any, known: Iterable[str], kind: str) -> str:
    """Return the nearest of many names, or where they are documented; not all of them."""
    near = nearest(str(key), known)
    return near if "did you mean" in near else f"; it takes the arguments of {kind}"


def _check_loggers(names: str | list[str] | None) -> None:
    """Refuse places to log to that are unknown or not installed, which the trainer finds out once a model is loaded."""
    from transformers import integrations

    installed = integrations.get_available_reporting_integrations()
    known = [*integrations.integration_utils.INTEGRATION_TO_CALLBACK, "all", "none"]
    for name in [names] if isinstance(names, str) else names or []:
        if name not in known:
            raise ValueError(f"train.report_to is {name!r}{nearest(name, known)}")
        if name not in (*installed, "all", "none", "flyte"):  # flyte's own machines alone can tell
            raise ValueError(f"train.report_to is {name!r}, which is not installed; install it, or give none")
