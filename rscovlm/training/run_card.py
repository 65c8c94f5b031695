"""The card of a run, and the facts that it is written from, which a push writes the same card from."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rscovlm import __version__
from rscovlm.files import mark, write_text
from rscovlm.hub.model_card import FACTS_FILE, MARKER, model_card, without_secrets

_MEASURED = "eval_"
_SETTINGS = (
    "learning_rate",
    "lr_scheduler_type",
    "warmup_steps",
    "weight_decay",
    "optim",
    "per_device_train_batch_size",
    "gradient_accumulation_steps",
    "seed",
    "bf16",
    "fp16",
)


def write_card(
    folder: Path,
    *,
    base: str | None,
    adapter: bool,
    steps: int,
    samples: int = 0,
    tokens: int = 0,
    history: list[dict[str, Any]] | None = None,
    recipe: Mapping[str, Any] | None = None,
    about: Mapping[str, Any] | None = None,
) -> bool:
    """Write a run's card as ``README.md``, unless there is one that this did not write, and the facts behind it.

    Args:
        folder: The run's folder.
        base: Name or folder of the model that training began from.
        adapter: An adapter was trained.
        steps: Steps done.
        samples: Samples trained.
        tokens: Tokens trained.
        history: Logs of the trainer; what is measured on a fixed set is taken from them.
        recipe: Plain values of the recipe.
        about: More that is known: ``base_revision``, ``hardware``, ``settings``, ``versions``, and ``sources`` (subset ->
            source -> licence).

    Returns:
        Whether the card was written.
    """
    facts = {
        "generator": mark("card"),
        "base": base,
        "adapter": adapter,
        "version": __version__,
        "steps": steps,
        "samples": samples,
        "tokens": tokens,
        "results": _results(history or []),
        **{key: value for key, value in (about or {}).items() if key != "sources"},
        "subsets": _subsets(recipe or {}, (about or {}).get("sources") or {}),
        "recipe": without_secrets(dict(recipe)) if recipe else None,
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / FACTS_FILE, json.dumps(facts, indent=1, ensure_ascii=False), "card")
    path = folder / "README.md"
    if path.is_file() and MARKER not in path.read_text(encoding="utf-8", errors="replace"):
        return False
    write_text(path, model_card(facts, repo=folder.name), overwrite=True)  # a card of our own, as looked at above
    return True


def settings_of(arguments: Any) -> dict[str, Any]:
    """Return the hyper-parameters of a trainer's arguments that a reader of a card looks for.

    Args:
        arguments: A `transformers.TrainingArguments`.
    """
    found = {name: getattr(arguments, name, None) for name in _SETTINGS}
    return {name: getattr(value, "value", value) for name, value in found.items() if value is not None}


def hardware_of(device: Any, processes: int) -> str:
    """Return in a few words what a run trains on.

    Args:
        device: A `torch.device`.
        processes: Number of processes, each with one.
    """
    if device.type == "cuda":
        import torch

        name = torch.cuda.get_device_name(device)
    else:
        name = f"{device.type} ({platform.machine()}, {os.cpu_count()} threads)"
    return f"{processes} x {name}"


def _subsets(recipe: Mapping[str, Any], sources: Mapping[str, Mapping[str, str]]) -> list[dict[str, Any]]:
    subsets = (recipe.get("mixture") or {}).get("subsets") or []
    total = sum(subset.get("weight", 1.0) for subset in subsets)
    return [
        {
            "name": subset.get("name"),
            "records": subset.get("records"),
            "weight": subset.get("weight", 1.0),
            "share": subset.get("weight", 1.0) / total,
            "licences": "; ".join(f"{name}: {said}" for name, said in sources.get(subset.get("name"), {}).items()),
        }
        for subset in (subsets if total else ())
    ]


def _results(history: list[dict[str, Any]]) -> list[tuple[int, str, float]]:
    """Return the last measurement on the fixed set."""
    measured = [log for log in history if any(name.startswith(_MEASURED) for name in log)]
    if not measured:
        return []
    figures = {
        name.removeprefix(_MEASURED): value for name, value in measured[-1].items() if name.startswith(_MEASURED)
    }
    return [(int(measured[-1].get("step", 0)), name, float(value)) for name, value in figures.items()]
