"""Where the files of a checkpoint are: a folder, a repository on the Hub, an adapter and the base that it names."""

from __future__ import annotations

import json
from pathlib import Path

from rscovlm.embedded import embedded_model
from rscovlm.processing.checkpoint_checks import check_checkpoint
from rscovlm.settings.nearest import nearest

SETTINGS = ("*.json", "*.jinja", "*.txt", "*.model")
WEIGHTS = (*SETTINGS, "*.safetensors")
"""Files of a repository on the Hub that are fetched: no code, and no pickles."""

_ADAPTER = "adapter_config.json"


def parts_of(
    repo: str | Path, adapter: str | Path | None, *, revision: str | None = None, wanted: tuple[str, ...] = WEIGHTS
) -> tuple[Path, Path | None]:
    """Return the folders of a model and of the adapter to put on it, or None if there is none.

    Args:
        repo: Folder, name on the Hub, or "embedded"; where it holds an adapter, the model is the base that this names.
        adapter: Folder or name of an adapter for ``repo``.
        revision: Branch, tag or commit of ``repo`` on the Hub.
        wanted: Patterns of the files to fetch from there.

    Raises:
        FileNotFoundError: One of them is not there; the message says what to give.
        ValueError: What is given as an adapter is none, or its files fail `check_checkpoint`.
    """
    folder = _folder(str(repo), revision, wanted)
    if adapter is not None:
        added = _folder(str(adapter), None, wanted)
        if not (added / _ADAPTER).is_file():
            raise ValueError(f"adapter {str(adapter)!r} has no {_ADAPTER}; give the folder that PEFT saved")
        if (folder / _ADAPTER).is_file():
            raise ValueError(f"{str(repo)!r} is itself an adapter; give its base, and one adapter")
        check_checkpoint(added)
        return folder, added
    # A run that trained all weights may have the configuration of the adapter that it started from beside its own.
    alone = (folder / _ADAPTER).is_file() and not any(folder.glob("model*.safetensors"))
    return (_base_of(folder, wanted), folder) if alone else (folder, None)


def _base_of(added: Path, wanted: tuple[str, ...]) -> Path:
    """Return the folder of the model that an adapter was trained on, which its own folder says."""
    check_checkpoint(added)
    config = json.loads((added / _ADAPTER).read_bytes())
    named = config.get("base_model_name_or_path")
    if not isinstance(named, str) or not named:
        raise ValueError(f"{added / _ADAPTER} names no base_model_name_or_path; give the base as the model")
    if (added / named / "config.json").is_file():  # relative to where the adapter lies
        return added / named
    try:
        return _folder(named, config.get("revision"), wanted)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{added} is an adapter of {named!r}, which is not here ({error.__cause__ or 'no such folder'}); "
            f"give its base as the model and {str(added)!r} as the adapter"
        ) from error


def _folder(source: str, revision: str | None, wanted: tuple[str, ...]) -> Path:
    if source == "embedded":
        return Path(embedded_model())
    if Path(source).is_dir():
        return Path(source)
    # Names on the Hub are an owner's and a model's; asking there takes minutes where it cannot be reached.
    if source.startswith(("/", ".", "~")) or source.count("/") != 1:
        raise FileNotFoundError(_absent(source, f"{source} does not exist"))
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        return Path(snapshot_download(source, revision=revision, allow_patterns=list(wanted)))
    except (OSError, ValueError, HfHubHTTPError) as error:
        raise FileNotFoundError(_absent(source, error)) from error


def _absent(source: str, fault: object) -> str:
    """Return in one line why a checkpoint is not found, and what to give."""
    said = " ".join(str(fault).split())
    near = nearest(source, ["embedded"])
    hint = near if "did you mean" in near else "; give the folder of a checkpoint, or its name on the Hub"
    return f"model {source!r} cannot be loaded ({said}){hint}"
