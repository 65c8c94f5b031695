"""One way to open a checkpoint: ours, a published one, or what another trainer saved, with or without an adapter."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from rscovlm.extras import optional
from rscovlm.loading.files import SETTINGS, WEIGHTS, parts_of
from rscovlm.processing.checkpoint_checks import loading
from rscovlm.processing.resolution import PixelBudget

_BITS = {"4bit": {"load_in_4bit": True}, "8bit": {"load_in_8bit": True}}


class Checkpoint(NamedTuple):
    """A model and its processor, ready to answer.

    Attributes:
        model: The model, in evaluation mode; a `peft.PeftModel` around it where there is an adapter.
        processor: Its `RSCoVLMProcessor`, which knows dialect and budget.
    """

    model: Any
    processor: Any


def load(
    repo: str | Path = "embedded",
    *,
    device: Any = None,
    dtype: Any = "auto",
    device_map: Any = None,
    revision: str | None = None,
    adapter: str | Path | None = None,
    quantised: Any = None,
    attention: str | None = None,
    dialect: Any = None,
    budget: PixelBudget | None = None,
) -> Checkpoint:
    """Load a Qwen-VL checkpoint: ours, a published one, what another trainer saved, or an adapter.

    No code of the checkpoint is run and no pickle is read; torchvision is not needed.

    Args:
        repo: Folder, name on the Hub, or ``"embedded"`` for the small model in the package. The folder of an adapter is
            loaded onto the base that it names.
        device: Where the model goes; when None, to the GPU if there is one.
        dtype: Type of the weights; ``"auto"`` keeps that of the files.
        device_map: How the layers are spread over devices, as in transformers, such as ``"auto"``; in place of ``device``.
        revision: Branch, tag or commit on the Hub.
        adapter: Folder or name of an adapter (PEFT) to load onto ``repo``.
        quantised: ``"4bit"``, ``"8bit"``, or arguments of `transformers.BitsAndBytesConfig`; None keeps the weights as saved.
        attention: Name of the attention; None leaves it to transformers.
        dialect: How the model writes boxes and is asked: the name of a preset, a YAML file, a `Dialect` or a `Codec`. When None, the saved one, or else that of the
            family; give it for a checkpoint that was trained on another.
        budget: Limits of the visual tokens of an image; None for the saved ones.

    Raises:
        FileNotFoundError: There is no such folder or repository.
        ValueError: It cannot be read, is of another kind, or some of its weights are not there.
        ModuleNotFoundError: It needs an extra that is not installed.

    Example:
        >>> model, processor = load(device="cpu")
        >>> processor.codec.name
        'rscovlm-v1'
    """
    if device is not None and device_map is not None:
        raise ValueError(f"device is {device!r} and device_map {device_map!r}; give one of the two")
    with optional():
        import torch
    base, added = parts_of(repo, adapter, revision=revision, wanted=WEIGHTS)
    with loading(base):
        processor = _processor(base, added, dialect, budget)
        model = _model(
            base,
            added,
            dtype=dtype,
            device_map=device_map,
            quantization_config=_quantization(quantised),
            attn_implementation=attention,
        )
    if device_map is None and quantised is None:
        model = model.to(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    return Checkpoint(model.eval(), processor)


def load_processor(
    repo: str | Path,
    *,
    revision: str | None = None,
    adapter: str | Path | None = None,
    dialect: Any = None,
    budget: PixelBudget | None = None,
) -> Any:
    """Load the processor of a checkpoint; arguments and errors as in `load`.

    Returns:
        An `RSCoVLMProcessor`. Of an adapter, what its own folder holds goes before what the base has.
    """
    base, added = parts_of(repo, adapter, revision=revision, wanted=SETTINGS)
    with loading(base):
        return _processor(base, added, dialect, budget)


def load_model(
    repo: str | Path,
    *,
    dtype: Any = "auto",
    revision: str | None = None,
    adapter: str | Path | None = None,
    attention: str | None = None,
    quantization: Any = None,
) -> Any:
    """Load the weights of a checkpoint, all of them; arguments and errors as in `load`.

    ``quantization`` is a `transformers.BitsAndBytesConfig`; None loads the weights as they are.
    """
    base, added = parts_of(repo, adapter, revision=revision, wanted=WEIGHTS)
    with loading(base):
        return _model(base, added, dtype=dtype, attn_implementation=attention, quantization_config=quantization)


def _processor(base: Path, added: Path | None, dialect: Any, budget: PixelBudget | None) -> Any:
    from rscovlm.processing import RSCoVLMProcessor

    own = dialect if added is None else None
    processor = RSCoVLMProcessor.from_pretrained(base, codec=own, trust_remote_code=False)
    if added is not None:
        processor = _changed_by(added, processor, dialect)
    if budget is not None:
        processor.budget = budget
    return processor


def _model(base: Path, added: Path | None, **options: Any) -> Any:
    with optional():
        from transformers import AutoModelForImageTextToText

    model, found = AutoModelForImageTextToText.from_pretrained(
        base,
        output_loading_info=True,
        trust_remote_code=False,
        use_safetensors=True,
        **{name: value for name, value in options.items() if value is not None},
    )
    _check_whole(found)
    return model if added is None else _with_adapter(model, added)


def _changed_by(added: Path, processor: Any, dialect: Any) -> Any:
    """Return a base's processor with what the folder of an adapter holds in place of the base's."""
    from rscovlm.processing import RSCoVLMProcessor

    codec = processor.dialect if dialect is None else dialect
    saved, _ = RSCoVLMProcessor.get_processor_dict(added)
    if not (added / "tokenizer_config.json").is_file():
        return RSCoVLMProcessor(processor.image_processor, processor.tokenizer, processor.chat_template, codec)
    if "image_processor" in saved or (added / "preprocessor_config.json").is_file():
        own = dialect if "codec" in saved else codec
        return RSCoVLMProcessor.from_pretrained(added, codec=own, trust_remote_code=False)
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(added, trust_remote_code=False)
    return RSCoVLMProcessor(processor.image_processor, tokenizer, processor.chat_template, codec)


def _with_adapter(model: Any, added: Path) -> Any:
    """Put an adapter on a model, all of it: weights that find no place would be left out without an error."""
    with optional():
        from peft import PeftModel
    if not (added / "adapter_model.safetensors").is_file():  # peft would look for it on the Hub
        raise ValueError(f"adapter {added} has no adapter_model.safetensors; give the folder that PEFT saved")
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Found missing adapter keys")
        try:
            return PeftModel.from_pretrained(model, str(added), trust_remote_code=False, use_safetensors=True)
        except UserWarning as warning:
            raise ValueError(
                f"the weights of adapter {added} do not fit its base: {' '.join(str(warning).split())[:300]}"
            ) from warning


def _check_whole(found: Mapping[str, Any]) -> None:
    """Refuse weights that are not all there: those that are missing would begin as random numbers, without a word."""
    missing = sorted(found.get("missing_keys", ()))
    if missing:
        raise ValueError(f"the weights lack {len(missing)} that its configuration has, such as {missing[0]!r}")


def _quantization(quantised: Any) -> Any:
    """Return a `transformers.BitsAndBytesConfig`, or None."""
    if quantised is None:
        return None
    if isinstance(quantised, str):
        if quantised not in _BITS:
            raise ValueError(f"quantised is {quantised!r}; choose one of {', '.join(_BITS)}, or give arguments")
        quantised = _BITS[quantised]
    if not isinstance(quantised, Mapping):
        return quantised
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(**quantised)
