"""Adapters as starting points and as results: what they reach, what they stand on, and merged into one checkpoint."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_CONFIG = "adapter_config.json"


def base_of(source: str) -> str | None:
    """Return the model that an adapter's folder stands on; None where it is no folder of an adapter.

    Args:
        source: Folder, or name on the Hub.

    Raises:
        ValueError: The folder does not say.
    """
    path = Path(source) / _CONFIG
    # A run that trained all weights may have the configuration of its starting point beside its own.
    if not path.is_file() or any(Path(source).glob("model*.safetensors")):
        return None
    try:
        base = json.loads(path.read_text(encoding="utf-8"))["base_model_name_or_path"]
    except (OSError, ValueError, KeyError, TypeError) as error:  # a file that another trainer wrote
        raise ValueError(
            f"{path} cannot be read ({error!r}); give the folder of an adapter as peft saves it"
        ) from error
    if not isinstance(base, str) or not base:
        raise ValueError(
            f"{path} names no base_model_name_or_path; set it to the model that the adapter was trained on"
        )
    return base


def continued(source: str, adapter: Any, given: Iterable[str]) -> Any:
    """Return the configuration of an adapter that is trained further, which says the same as the recipe.

    Args:
        source: Folder of the adapter.
        adapter: The `peft.LoraConfig` of the recipe.
        given: What the recipe says of it; the adapter's own values hold for the rest.

    Raises:
        ValueError: The adapter is of another type than LoRA, or has other values.
    """
    from peft import LoraConfig, PeftConfig

    known = PeftConfig.from_pretrained(source, trust_remote_code=False)
    if not isinstance(known, LoraConfig):
        raise ValueError(
            f"adapter {source!r} is a {known.peft_type}, which lora of the recipe cannot continue; export it first"
        )
    for key in given:
        has, wants = getattr(known, key), getattr(adapter, key)
        if has != wants:
            raise ValueError(
                f"lora.{key} is {wants!r} and the adapter {source!r} has {has!r}; set the adapter's value to train it further, or write a "
                f"checkpoint by `rscovlm export {source} FOLDER` and set that as the recipe's model to train a new adapter on it"
            )
    known.inference_mode = False
    return known


def load_adapter(model: Any, source: str) -> None:
    """Put an adapter's weights into a model that has one of the same configuration.

    Raises:
        ValueError: There is no file of weights without pickles, or it does not fit.
    """
    from peft import get_peft_model_state_dict, set_peft_model_state_dict
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = Path(source) / "adapter_model.safetensors"
    try:
        weights = load_file(path)
        missing = sorted(set(get_peft_model_state_dict(model)) ^ set(weights))
        if missing:
            raise ValueError(f"{len(missing)} weights are in one of the two only, such as {missing[0]}")
        set_peft_model_state_dict(model, weights)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:  # a file that another trainer wrote
        raise ValueError(f"adapter {path} does not fit the model it names ({' '.join(str(error).split())})") from error


def merged(model: Any, source: str) -> Any:
    """Return a model with an adapter added into its weights.

    Args:
        model: What the adapter was trained on.
        source: Folder of the adapter.

    Raises:
        ValueError: The adapter does not fit the model.
    """
    from peft import PeftModel
    from safetensors import SafetensorError

    try:
        adapted: Any = PeftModel.from_pretrained(model, source, trust_remote_code=False, use_safetensors=True)
        whole = adapted.merge_and_unload(safe_merge=True)
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, SafetensorError) as error:
        # peft raises any of these for an adapter of another model.
        said = " ".join(str(error).split())
        raise ValueError(
            f"adapter {source!r} cannot be added to its model ({said}); give the model that it was trained on"
        ) from error
    return whole.requires_grad_(True)  # peft froze what it stood around


def reached_text(names: Iterable[str]) -> str:
    """Return which modules an adapter reaches, equal ones of many layers together.

    >>> reached_text(["layers.0.q_proj", "layers.1.q_proj", "head"])
    'the adapter reaches 3 modules: 2 x layers.*.q_proj, head'
    """
    found = Counter(re.sub(r"\.\d+(?=\.|$)", ".*", name) for name in names)
    kinds = ", ".join(f"{count} x {kind}" if count > 1 else kind for kind, count in found.items())
    return f"the adapter reaches {found.total()} modules: {kinds}"
