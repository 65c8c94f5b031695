"""The model that a run starts from, and whether it fits its recipe."""

from __future__ import annotations

import copy
from typing import Any

from rscovlm.codec.dialect import Dialect
from rscovlm.loading import load_model as load_weights
from rscovlm.processing.resolution import PixelBudget
from rscovlm.training.adapters import base_of, merged

_FAULTS = (OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError, ImportError)
"""What building a model after the files of others may raise."""


def fit_processor(processor: Any, budget: PixelBudget, codec: str | None, source: str) -> None:
    """Give a processor the budget of a mixture, and the dialect where the recipe names one.

    Args:
        processor: An `RSCoVLMProcessor`.
        budget: Pixels that the model sees.
        codec: The dialect that is trained; None for that of the model.
        source: What a message calls the model.

    Raises:
        ValueError: The model counts tokens of another size, or writes coordinates otherwise.
    """
    factor = processor.image_processor.patch_size * processor.image_processor.merge_size
    if budget.factor != factor:
        raise ValueError(
            f"the recipe's budget counts tokens of {budget.factor} pixels, {source} has {factor}; "
            f"set budget.factor to {factor}"
        )
    processor.image_processor.budget = budget
    if codec is None:
        return
    dialect = Dialect.load(codec)
    if processor.codec.space != dialect.codec.space:
        raise ValueError(
            f"{source} writes coordinates as {processor.codec.space!r}, the recipe's codec {dialect.name!r} as "
            f"{dialect.codec.space!r}; name a codec of the same space"
        )
    processor.dialect = dialect


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
    base = base_of(source)
    if base is None:
        return load_weights(source, dtype=dtype, attention=attention, quantization=quantization)
    if quantization is not None:
        raise ValueError(f"{source!r} is an adapter, which weights of few bits cannot take up; export it first")
    return merged(load_weights(base, dtype=dtype, attention=attention), source)


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
