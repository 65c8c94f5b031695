"""What a checkpoint's folder holds, checked before anything in it is loaded.

A checkpoint is a stranger's file. Nothing here runs its code or unpickles anything; what would run code, fill the memory or
never end is refused in one line that names the file.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rscovlm.processing.template import chat_template

_JSON_BYTES = 2**28
# Far above every published vision-language model, far below what exhausts a machine by itself.
_LARGEST = {
    "vocab_size": 2**22,
    "hidden_size": 2**17,
    "out_hidden_size": 2**17,
    "embed_dim": 2**17,
    "head_dim": 2**14,
    "intermediate_size": 2**19,
    "moe_intermediate_size": 2**19,
    "num_hidden_layers": 2**10,
    "depth": 2**10,
    "num_layers": 2**10,
    "num_attention_heads": 2**12,
    "num_key_value_heads": 2**12,
    "num_heads": 2**12,
    "num_experts": 2**14,
    "num_position_embeddings": 2**24,
    "patch_size": 2**8,
    "temporal_patch_size": 2**6,
    "spatial_patch_size": 2**8,
    "spatial_merge_size": 2**6,
    "merge_size": 2**6,
    "min_pixels": 2**28,
    "shortest_edge": 2**28,
}
_LEAST_ONE = {"patch_size", "temporal_patch_size", "spatial_patch_size", "spatial_merge_size", "merge_size"}
# The files that transformers reads; others in the folder are none of our business.
_SIZED = (
    "config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "video_preprocessor_config.json",
    "adapter_config.json",
)
_READ = (
    *_SIZED,
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "chat_template.json",
    "model.safetensors.index.json",
)
_SECONDS = 300
"""Wall-clock time for the trial of a template; the trial bounds its own processor time far below."""


def check_checkpoint(folder: str | os.PathLike[str]) -> None:
    """Check a folder with a model, a processor or an adapter before it is loaded.

    JSON files must be objects whose sizes a machine can hold; weights must be safetensors files whose headers are whole and
    agree with ``config.json``; a chat template must write a short question in a few seconds. Pickles that lie beside
    safetensors are left alone, and refused where they would be the weights.

    Args:
        folder: The folder. A name on the Hub passes, since nothing is known of it: check the folder it is downloaded to.

    Raises:
        ValueError: Something in it cannot be loaded safely; the message names the file.
    """
    root = Path(folder)
    if not root.is_dir():
        return
    files = {name: _json_object(root / name) for name in _READ if (root / name).is_file()}
    for name in _SIZED:
        _check_sizes(root / name, files.get(name))
    _check_kind(root / "config.json", files.get("config.json", {}))
    _check_weights(root, files)
    for path, template in _templates(root, files):
        _try_template(path, template)


@contextmanager
def loading(source: str | os.PathLike[str]) -> Iterator[None]:
    """Check a checkpoint, and give whatever its loading raises as a `ValueError` of one line.

    Args:
        source: Folder, or name on the Hub.

    Raises:
        ValueError: It fails `check_checkpoint`, or what was done with it failed.

    Example:
        >>> with loading("no/such-model"):
        ...     raise KeyError("vision_config")
        Traceback (most recent call last):
        ValueError: checkpoint no/such-model cannot be loaded (KeyError: 'vision_config'); give a whole checkpoint
    """
    check_checkpoint(source)
    try:
        yield
    except (ModuleNotFoundError, MemoryError, ConnectionError):
        raise
    except Exception as error:  # transformers and tokenizers raise anything over a damaged file, even Exception itself
        words = " ".join(str(error).split())
        if "trust_remote_code" in words:
            words = "its configuration names no class that transformers has, and code of a checkpoint is never run"
        elif not isinstance(error, (OSError, ValueError)):
            words = f"{type(error).__name__}: {words}"
        raise ValueError(f"checkpoint {source} cannot be loaded ({words}); give a whole checkpoint") from error


def _json_object(path: Path) -> Mapping[str, Any]:
    if path.stat().st_size > _JSON_BYTES:
        raise ValueError(f"{path} has {path.stat().st_size} bytes; give one of at most {_JSON_BYTES}")
    try:
        values = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON ({error}); copy or download it again") from error
    if not isinstance(values, dict):
        raise ValueError(f"{path} holds a {type(values).__name__}, not a JSON object; copy or download it again")
    return values


def _check_sizes(path: Path, values: object) -> None:
    """Refuse numbers from which a model or a picture would be made that no machine holds."""
    for value in values if isinstance(values, list) else ():
        _check_sizes(path, value)
    for name, value in values.items() if isinstance(values, dict) else ():
        if isinstance(value, dict | list):
            _check_sizes(path, value)
        elif name in _LARGEST and isinstance(value, int | float):
            least = int(name in _LEAST_ONE)
            if not least <= value <= _LARGEST[name]:
                raise ValueError(f"{path}: {name} is {value}; give a number from {least} to {_LARGEST[name]}")


def _check_kind(path: Path, config: Mapping[str, Any]) -> None:
    """Refuse a model that transformers does not have: only code in the checkpoint could make it."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    kind = config.get("model_type")
    if kind is not None and kind not in CONFIG_MAPPING:
        raise ValueError(
            f"{path}: model_type is {str(kind)[:80]!r}, which transformers does not have, and code of a checkpoint is "
            "never run; give a checkpoint of Qwen2.5-VL or Qwen3-VL"
        )


def _check_weights(root: Path, files: Mapping[str, Mapping[str, Any]]) -> None:
    """Read the headers of the weights, and refuse what is no safetensors file or does not fit the configuration."""
    if "model.safetensors.index.json" in files:
        _check_index(root / "model.safetensors.index.json", files["model.safetensors.index.json"])
    stored = sorted(path for path in root.glob("*.safetensors") if path.is_file())  # opening a pipe would wait
    weights = not any(path.name != "adapter_model.safetensors" for path in stored) and "config.json" in files
    adapter = not (root / "adapter_model.safetensors").is_file() and "adapter_config.json" in files
    pickles = [
        *(sorted(root.glob("pytorch_model*.bin")) if weights else ()),
        *(root.glob("adapter_model.bin") if adapter else ()),
    ]
    if pickles:
        raise ValueError(
            f"{pickles[0]} is a pickle, which can run code and is never loaded; save the weights as safetensors"
        )
    shapes: dict[str, list[int]] = {}
    for path in stored:
        shapes |= _shapes(path)
    _check_shapes(root / "config.json", files.get("config.json", {}), shapes)


def _check_index(path: Path, values: Mapping[str, Any]) -> None:
    shards = values.get("weight_map")
    if not isinstance(shards, dict) or not all(isinstance(one, str) for one in shards.values()):
        raise ValueError(f"{path} has no weight_map from names to files; copy or download it again")
    for shard in sorted(set(shards.values())):
        if Path(shard).name != shard or not shard.endswith(".safetensors"):
            raise ValueError(f"{path} names {shard!r}; weights are safetensors files in the same folder")
        if not (path.parent / shard).is_file():
            raise ValueError(f"{path} names {shard}, which is not there; copy or download it again")


def _shapes(path: Path) -> dict[str, list[int]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as weights:
            return {name: list(weights.get_slice(name).get_shape()) for name in weights.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} is no whole safetensors file ({error}); copy or download it again") from error


def _check_shapes(path: Path, config: Mapping[str, Any], shapes: Mapping[str, list[int]]) -> None:
    """Refuse a configuration of another size than the weights: a model of its size would be made before they are read."""
    part = config.get("text_config")
    text = {**config, **part} if isinstance(part, dict) else config
    for name, shape in shapes.items():
        if name.endswith("embed_tokens.weight") and len(shape) == 2:
            for key, stored in zip(("vocab_size", "hidden_size"), shape, strict=True):
                if text.get(key, stored) != stored:
                    raise ValueError(
                        f"{path}: {key} is {text[key]} and {name} of the weights has {stored}; give a whole checkpoint"
                    )


def _templates(root: Path, files: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[Path, str]]:
    """Yield every chat template of a folder, from wherever transformers looks for one."""
    for path in (*root.glob("*.jinja"), *root.glob("additional_chat_templates/*.jinja")):
        yield path, path.read_text(encoding="utf-8", errors="replace")
    for name in ("chat_template.json", "processor_config.json", "tokenizer_config.json"):
        said = files.get(name, {}).get("chat_template")
        several = said.values() if isinstance(said, dict) else said if isinstance(said, list) else [said]
        for one in several:
            text = one.get("template") if isinstance(one, dict) else one
            if isinstance(text, str):
                yield root / name, text


def _try_template(path: Path, template: str) -> None:
    """Have a template write a short question in a process of its own, whose time and memory are bounded."""
    if template.rstrip() in (chat_template("qwen2_5_vl").rstrip(), chat_template("qwen3_vl").rstrip()):
        return
    command = [sys.executable, "-P", str(Path(__file__).with_name("template_trial.py"))]
    try:
        done = subprocess.run(
            command, input=template, capture_output=True, encoding="utf-8", timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise ValueError(f"{path}: the chat template does not come to an end; give a whole checkpoint") from None
    if done.returncode:
        why = done.stdout.strip() or "does not come to an end"
        raise ValueError(f"{path}: the chat template {why}; give a whole checkpoint")
