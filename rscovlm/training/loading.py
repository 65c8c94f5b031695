"""The processor and the model that a run starts from, or in words why they cannot be had."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rscovlm.codec import Codec
from rscovlm.mixtures.recipe import MixtureRecipe
from rscovlm.settings.nearest import nearest
from rscovlm.training.adapters import base_of, merged

_FAULTS = (OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError, ImportError)
"""What loading the files of others may raise, besides safetensors' own error."""


def load_processor(source: str) -> Any:
    """Load the processor of a Qwen-VL checkpoint.

    Args:
        source: Folder, or name on the Hub.

    Raises:
        FileNotFoundError: There is none.
        ValueError: It cannot be read, or is that of another kind of model.
    """
    from transformers import AutoProcessor

    from rscovlm.processing import RSCoVLMProcessor

    # Names on the Hub are an owner's and a model's; asking there takes minutes where it cannot be reached.
    if (source.startswith(("/", ".", "~")) or source.count("/") != 1) and not Path(source).is_dir():
        raise FileNotFoundError(_words(source, "there is no such folder"))
    try:
        processor: Any = AutoProcessor.from_pretrained(source, trust_remote_code=False)
    except ModuleNotFoundError:
        raise
    except _FAULTS as error:
        raise (FileNotFoundError if isinstance(error, OSError) else ValueError)(_words(source, error)) from error
    if not isinstance(processor, RSCoVLMProcessor):
        raise ValueError(
            f"model {source!r} comes with a {type(processor).__name__}; give a checkpoint of Qwen2.5-VL or Qwen3-VL"
        )
    return processor


def fit_processor(processor: Any, mixture: MixtureRecipe, source: str) -> None:
    """Give a processor the budget of a mixture.

    Args:
        processor: An `RSCoVLMProcessor`.
        mixture: What it is to prepare.
        source: What a message calls the model.

    Raises:
        ValueError: The model counts tokens of another size, or writes coordinates otherwise.
    """
    factor = processor.image_processor.patch_size * processor.image_processor.merge_size
    wanted = mixture.budget
    if wanted.factor != factor:
        raise ValueError(
            f"the recipe's budget counts tokens of {wanted.factor} pixels, {source} has {factor}; "
            f"set budget.factor to {factor}"
        )
    processor.image_processor.budget = wanted
    preset = Codec.preset(mixture.codec)
    if processor.codec.space != preset.space:
        raise ValueError(
            f"{source} writes coordinates as {processor.codec.space!r}, the recipe's codec {preset.name!r} as "
            f"{preset.space!r}; name a codec of the same space"
        )


def load_model(source: str, *, dtype: str, attention: str | None = None, quantization: Any = None) -> Any:
    """Load the weights of a Qwen-VL checkpoint, all of them; those of an adapter are added into those of its model.

    Args:
        source: Folder, also of an adapter, or name on the Hub.
        dtype: Type of the weights.
        attention: Name of the attention; None leaves it to transformers.
        quantization: A `transformers.BitsAndBytesConfig`; None loads the weights as they are.

    Raises:
        ValueError: They cannot be read, are not those of the configuration, or some are not there.
    """
    from safetensors import SafetensorError
    from transformers import AutoModelForImageTextToText

    base = base_of(source)
    if base is not None:
        if quantization is not None:
            raise ValueError(f"{source!r} is an adapter, which weights of few bits cannot take up; export it first")
        return merged(load_model(base, dtype=dtype, attention=attention), source)
    options: dict[str, Any] = {"attn_implementation": attention} if attention else {}
    if quantization is not None:
        options["quantization_config"] = quantization
    try:
        model, found = AutoModelForImageTextToText.from_pretrained(
            source,
            dtype=dtype,
            output_loading_info=True,
            trust_remote_code=False,
            use_safetensors=True,
            **options,
        )
    except ModuleNotFoundError:
        raise
    except (*_FAULTS, SafetensorError) as error:
        raise ValueError(_words(source, error)) from error
    _check_whole(source, found)
    return model


def check_model(source: str, *, attention: str | None = None, adapter: Any = None) -> list[str]:
    """Build a model without weights, with an attention and an adapter: what does not fit is found before they are loaded.

    Args:
        source: Folder, or name on the Hub.
        attention: Name of the attention; None tries none.
        adapter: A `peft.LoraConfig`; None tries none.

    Returns:
        The modules that the adapter reaches.

    Raises:
        ValueError: The attention is unknown or not installed; or the adapter names modules that the model has not, or cannot
            be built.
    """
    import torch
    from transformers import AutoConfig, AutoModelForImageTextToText

    reached: list[str] = []
    options: dict[str, Any] = {"attn_implementation": attention} if attention else {}
    tried = "the configuration" if attention is None else f"attention {attention!r} of the recipe"
    try:
        config = AutoConfig.from_pretrained(base_of(source) or source, trust_remote_code=False)
        with torch.device("meta"):
            model = AutoModelForImageTextToText.from_config(config, **options)
            if adapter is not None:
                tried = "lora of the recipe"
                reached = list(with_adapter(model, adapter).base_model.targeted_module_names)
    except _FAULTS as error:
        raise ValueError(
            f"{tried} does not fit model {source!r} here ({' '.join(str(error).split())}); correct it"
        ) from error
    return reached


def with_adapter(empty: Any, adapter: Any, **options: Any) -> Any:
    """Put an adapter on a model without weights.

    Args:
        empty: The model, on the meta device; it is changed.
        adapter: A `peft.LoraConfig`; it is left as it is.
        options: For `peft.get_peft_model`.
    """
    from peft import get_peft_model

    some = copy.deepcopy(adapter)
    some.init_lora_weights = True  # other ways look at the weights
    return get_peft_model(empty, some, **options)


def _check_whole(source: str, found: Mapping[str, Any]) -> None:
    """Refuse weights that are not all there: those that are missing would begin as random numbers, without a word."""
    missing = sorted(found.get("missing_keys", ()))
    if missing:
        raise ValueError(
            f"the weights of model {source!r} lack {len(missing)} that its configuration has, such as {missing[0]!r}; "
            "give a whole checkpoint"
        )


def _words(source: str, fault: object) -> str:
    said = " ".join(str(fault).split())
    if "trust_remote_code" in said:
        said = "its configuration names no model that transformers has, and code of others is not run"
    near = nearest(source, ["embedded"])
    hint = near if "did you mean" in near else "; give the folder of a checkpoint, or its name on the Hub"
    return f"model {source!r} cannot be loaded ({said}){hint}"
