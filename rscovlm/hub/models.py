"""A model on the Hub: weights, processor, recipe, mixture and a card written from what really ran."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from rscovlm.hub.model_card import FACTS_FILE, MARKER, model_card, read_evaluation, read_facts, without_paths
from rscovlm.hub.uploads import HubUpload, send
from rscovlm.processing.checkpoint_checks import check_checkpoint

_PARTS = (
    "config.json",
    "generation_config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "video_preprocessor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.json",
    "chat_template.jinja",
    "adapter_config.json",
    "*.safetensors",
    "*.safetensors.index.json",
    FACTS_FILE,
)
"""What of a folder is the model; all else in it stays here."""

_STALE = (*_PARTS, "*.bin", "*.bin.index.json", "*.pt", "*.pth", "recipe.yaml", "mixture.yaml")
_BLANK = "[More Information Needed]"
"""What stands in the cards that peft and transformers write by themselves, which may name folders of this machine."""
_ADAPTER, _ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


def push_model(
    folder: str | Path,
    repo: str,
    *,
    run: str | Path | None = None,
    evaluations: Sequence[str | Path] = (),
    licence: str | None = None,
    base: str | None = None,
    message: str = "Add the model",
    private: bool = True,
    revision: str | None = None,
    token: str | None = None,
    endpoint: str | None = None,
    dry_run: bool = False,
) -> HubUpload:
    """Push a run, a checkpoint or an adapter as one commit: all of it is there afterwards, or nothing has changed.

    Safetensors, processor with its dialect, chat template, `recipe.yaml`, `mixture.yaml` and the card go; pickles, states of
    optimisers and logs stay. Weights, settings and adapters of an earlier push that this one does not bring are removed.

    Args:
        folder: A run's folder, one of its checkpoints, an adapter, or what `rscovlm export` wrote.
        repo: `<owner>/<name>`, made if it is not there.
        run: The run's folder, where ``folder`` is what was exported from it: the card tells of the run.
        evaluations: Folders that `rscovlm eval` wrote; their figures go into the card's `model-index`.
        licence: Identifier of the weights' licence for the card.
        base: For an adapter: the name of its base on the Hub, where the adapter names a folder of this machine.
        message: The commit's.
        private: Make a new repository private.
        revision: Branch; by default the main one.
        token: By default the one that `hf auth login` stored.
        endpoint: By default the public Hub.
        dry_run: Send nothing; what would be sent is returned.

    Returns:
        What was sent, with the commit's address, or would be.

    Raises:
        ValueError: The folder holds no whole checkpoint, or a token.
        FileNotFoundError: There is no such folder.
        PermissionError: The token may not write there.
        ConnectionError: The Hub failed; nothing was committed, and the same call resumes.
    """
    source = Path(folder)
    files, left = _parts_of(source)
    facts = without_paths(read_facts(source) or (read_facts(Path(run)) if run is not None else {}))
    if facts.get("adapter") and _ADAPTER_WEIGHTS not in files:
        facts = {**facts, "adapter": False, "merged": True}
    if _ADAPTER_WEIGHTS in files:
        content, named = _adapter_config(source / _ADAPTER, base)
        files[_ADAPTER] = content
        facts = {**facts, "adapter": True, "base": named}
    found = [read_evaluation(Path(one)) for one in evaluations]
    evaluation = {key: [row for one in found for row in one[key]] for key in ("results", "suites")}
    own = source / "README.md"
    text = own.read_text(encoding="utf-8") if own.is_file() else ""
    theirs = text and MARKER not in text and _BLANK not in text
    card = text if theirs else model_card(facts, repo=repo, licence=licence, evaluation=evaluation)
    files["README.md"] = card.encode()
    if facts:
        files[FACTS_FILE] = json.dumps(facts, indent=1, ensure_ascii=False).encode()
    if facts.get("recipe"):
        files["recipe.yaml"] = _yaml(facts["recipe"])
    if facts.get("subsets"):
        files["mixture.yaml"] = _yaml({"subsets": facts["subsets"]})
    upload = HubUpload(repo, "model", files, card, left, _STALE)
    how: dict[str, Any] = {"private": private, "revision": revision, "token": token, "endpoint": endpoint}
    return send(upload, message=message, dry_run=dry_run, **how)


def _parts_of(folder: Path) -> tuple[dict[str, Path | bytes], dict[str, str]]:
    """Return the model's files of a checked folder, and why others stay."""
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {str(folder)!r}; give one with a model")
    check_checkpoint(folder)
    files: dict[str, Path | bytes] = {}
    left = {}
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            left[f"{path.name}/"] = "a folder"
        elif any(path.match(pattern) for pattern in _PARTS):
            files[path.name] = path
        elif path.name != "README.md":
            left[path.name] = "no part of a model"
    for path in sorted((folder / "additional_chat_templates").glob("*.jinja")):
        files[f"additional_chat_templates/{path.name}"] = path
    whole = any(name.endswith(".safetensors") and name != _ADAPTER_WEIGHTS for name in files) and "config.json" in files
    adapter = _ADAPTER_WEIGHTS in files and _ADAPTER in files
    if whole and _ADAPTER_WEIGHTS in files:
        raise ValueError(f"{folder} holds a model and an adapter, of which one would be loaded; take one away")
    if not (whole or adapter):
        raise ValueError(
            f"{folder} holds no model (safetensors and config.json, or an adapter's files); give the folder of a run or of "
            "one of its checkpoints"
        )
    if whole:
        # A run of all weights that began from an adapter keeps that one's configuration, by which loaders would go.
        files.pop(_ADAPTER, None)
    return files, left


def _adapter_config(path: Path, base: str | None) -> tuple[bytes, str]:
    """Return an adapter's configuration that names its base as others can load it."""
    config: dict[str, Any] = json.loads(path.read_bytes())
    named = base or config.get("base_model_name_or_path")
    if not isinstance(named, str) or not named or Path(named).exists() or named.count("/") != 1:
        shown = without_paths(named) if isinstance(named, str) else named
        raise ValueError(
            f"the adapter's base is {shown!r}, a folder of this machine or no name on the Hub; give its name there (base=, "
            "--base), or merge the adapter first (`rscovlm export`, --merge)"
        )
    config["base_model_name_or_path"] = named
    return json.dumps(config, indent=2).encode(), named


def _yaml(value: Any) -> bytes:
    text: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120)
    return text.encode()
