"""What tells the weights behind an engine from others."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rscovlm.engines import Engine

READ = (
    "*.safetensors",
    "config.json",
    "generation_config.json",
    "adapter_config.json",
    "*processor_config.json",
    "tokenizer*.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template*",
)
"""Files of a checkpoint's folder on which answers depend."""


def checkpoint_of(engine: Engine, name: str = "") -> str:
    """Return a name for the weights behind an engine that changes when they do.

    Of folders it holds a digest of all files that are loaded, about a second a gigabyte; of models on the Hub the commit;
    of a server the model's name there, since nothing more can be known.

    Args:
        engine: Who answers.
        name: What the user called the model: an adapter's folder, where the engine knows only what it lies on.
    """
    model: Any = getattr(engine, "model", None)
    if model is None or isinstance(model, str):
        return model or type(engine).__qualname__
    loaded = str(getattr(model, "name_or_path", "") or "")
    commit = getattr(getattr(model, "config", None), "_commit_hash", None)
    parts = dict.fromkeys(part for part in (name, loaded) if part)
    described = [_folder(Path(part)) if Path(part).is_dir() else part for part in parts]
    return " ".join([*described, *([f"commit {commit}"] if commit else [])]) or type(model).__qualname__


def _folder(folder: Path) -> str:
    found = hashlib.sha256()
    for path in sorted({path for pattern in READ for path in folder.glob(pattern) if path.is_file()}):
        with path.open("rb") as file:
            found.update(path.name.encode() + hashlib.file_digest(file, "sha256").digest())
    return f"sha256:{found.hexdigest()}"
