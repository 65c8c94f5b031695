"""What checkpoints that others published or trained leave in their folders, and what is missing there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transformers import AutoConfig
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from rscovlm.processing.families import MODEL_TYPES, Family
from rscovlm.processing.image_processor import RSCoVLMImageProcessor

_LOCATING = ("cache_dir", "force_download", "local_files_only", "proxies", "revision", "subfolder", "token")
"""Arguments of every ``from_pretrained`` that say where files are."""


def family_of(path: Any, options: Mapping[str, Any]) -> Family:
    """Return the family of a checkpoint by its ``config.json``.

    Args:
        path: Folder or Hub repository.
        options: Arguments of ``from_pretrained``; those that say where files are count.

    Raises:
        ValueError: It is of none that is read here.
    """
    kind = AutoConfig.from_pretrained(path, trust_remote_code=False, **_locating(options)).model_type
    if kind not in MODEL_TYPES:
        raise ValueError(f"{path} holds a model of type {kind!r}; give one of {', '.join(MODEL_TYPES)}")
    return MODEL_TYPES[kind]


def check_named(path: Any, named: object) -> None:
    """Refuse a checkpoint that names a processor of its own, whose code is not run: ours might prepare images otherwise.

    Args:
        path: Folder or Hub repository.
        named: What its files give as ``processor_class``.

    Raises:
        ValueError: It is none that is read here.
    """
    known = {"RSCoVLMProcessor", *(family.processor for family in MODEL_TYPES.values())}
    if named is not None and named not in known:
        raise ValueError(f"{path} names processor class {named!r}; known are {', '.join(sorted(known))}")


def stock_processor(path: Any, options: Mapping[str, Any]) -> Any:
    """Return transformers' own class of processor for a checkpoint; arguments as for `family_of`."""
    import transformers

    return getattr(transformers, family_of(path, options).processor)


def image_processor_of(path: Any, options: Mapping[str, Any]) -> RSCoVLMImageProcessor:
    """Load the image processor of a checkpoint.

    Where no file says how images are prepared, as after training that saved the weights and the tokenizer alone, it is the
    family's own with the limits that its published checkpoints have.

    Args:
        path: Folder or Hub repository.
        options: Arguments of ``from_pretrained``.
    """
    others = {key: value for key, value in options.items() if key != "trust_remote_code"}
    try:
        values, _ = RSCoVLMImageProcessor.get_image_processor_dict(path, **others)
    except OSError:  # neither file is there, or the Hub was not reached: the configuration tells which
        family = family_of(path, options)
        values = family.image_settings() | {
            "size": {"shortest_edge": family.min_pixels, "longest_edge": family.max_pixels}
        }
    given = {key: value for key, value in others.items() if key not in _LOCATING}
    check_named(path, values.get("processor_class"))
    # Fast image processors save every setting of their base class, null if there is none.
    stated = {key: value for key, value in values.items() if value is not None}
    stated.setdefault("size", dict(Qwen2VLImageProcessorPil.size))
    loaded: RSCoVLMImageProcessor = RSCoVLMImageProcessor.from_dict(stated, **given)
    return loaded


def template_of(saved: Any, tokenizer: Any) -> str | None:
    """Return the chat template of a checkpoint, from the processor's files or else the tokenizer's; None if there is none.

    Args:
        saved: What the processor's files hold: a template, several by name, or None.
        tokenizer: The checkpoint's tokenizer; older checkpoints keep the template in ``tokenizer_config.json`` alone.
    """
    for found in (saved, getattr(tokenizer, "chat_template", None)):
        one = found.get("default") if isinstance(found, Mapping) else found
        if isinstance(one, str):
            return one
    return None


def _locating(options: Mapping[str, Any]) -> dict[str, Any]:
    return {key: options[key] for key in _LOCATING if key in options}
