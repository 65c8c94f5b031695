"""A recipe's arguments for libraries of others, held against what is installed before anything is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from rscovlm.data.nearest import nearest


def trainer_arguments(train: Mapping[str, Any]) -> dict[str, Any]:
    """Return a recipe's arguments for the trainer; numbers that YAML took for texts, such as 2e-6, as numbers.

    Args:
        train: Arguments of `trl.SFTConfig`.

    Raises:
        ValueError: A key that it has not (the nearest right one is named), or that the recipe says elsewhere; or no number.
    """
    from trl import SFTConfig

    known = {entry.name: entry for entry in fields(SFTConfig)}
    found = {}
    for key, value in train.items():
        if key == "activation_checkpointing" and key not in known:  # older transformers, which `build_trainer` knows
            found[key] = value
            continue
        if key not in known:
            raise ValueError(f"train has the unknown key {key!r}{nearest(key, known)}")
        if key in ("max_steps", "num_train_epochs", "output_dir"):
            raise ValueError(
                f"train.{key} is {value!r}, which steps of the recipe and the output folder say; leave it out"
            )
        found[key] = value
        if isinstance(value, str) and "float" in str(known[key].type) and "str" not in str(known[key].type):
            try:
                found[key] = float(value)
            except ValueError as error:
                raise ValueError(f"train.{key} is {value!r}; give a number") from error
    return found


def adapter_config(lora: Mapping[str, Any] | None) -> Any:
    """Return the adapter to train, or None.

    Args:
        lora: Arguments of `peft.LoraConfig`; None trains none.

    Raises:
        ValueError: A key that it has not; the nearest right one is named.
    """
    if lora is None:
        return None
    from peft import LoraConfig

    known = [entry.name for entry in fields(LoraConfig)]
    for key in lora:
        if key not in known:
            raise ValueError(f"lora has the unknown key {key!r}{nearest(key, known)}")
    return LoraConfig(**lora)
