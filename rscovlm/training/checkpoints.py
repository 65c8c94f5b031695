"""Checkpoints that a run may go on from: whole ones, of the same recipe."""

from __future__ import annotations

import json
import logging
import re
import shutil
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from rscovlm.data.tally import Tally
from rscovlm.training.plan import LaneState

logger = logging.getLogger(__name__)

RUN_FILE = "rscovlm_run.json"
"""File of a checkpoint that says which recipe it belongs to and how far in the mixture it is."""

PLAN_FILE = "rscovlm_plan.json"
"""File of a checkpoint of packed training that says where the plan of its rows stands (`LaneState`)."""

STATE_FILE = "trainer_state.json"
"""What the trainer writes last into a checkpoint; without it nothing of the checkpoint counts."""

_FREE = re.compile(
    r"logging_.*|log_.*|save_.*|eval_.*|dataloader_.*|report_to|run_name|disable_tqdm|push_to_hub|hub_.*|ddp_.*"
    r"|per_device_train_batch_size|gradient_accumulation_steps|evaluation.*|output_dir|overwrite_output_dir|deepspeed|fsdp.*"
    r"|mixture\.tolerate"
)
"""Arguments of the trainer that change neither the samples nor the course of training."""


def last_complete(folder: str | Path) -> Path | None:
    """Return the checkpoint of most steps in a folder that was written to its end, or None.

    What was being written when a run was killed, or when the disk was full, is passed over with a warning that says why.

    Args:
        folder: The run's output folder; it need not exist.
    """
    found = [path for path in Path(folder).glob("checkpoint-*") if path.name.removeprefix("checkpoint-").isdigit()]
    for path in sorted(found, key=lambda path: int(path.name.removeprefix("checkpoint-")), reverse=True):
        fault = fault_of(path)
        if fault is None:
            return path
        logger.warning("%s is passed over: %s", path, fault)
    return None


def fault_of(checkpoint: Path) -> str | None:
    """Return what keeps a run from going on from a checkpoint, or None where it is whole.

    Args:
        checkpoint: Folder of a checkpoint.
    """
    try:
        state = json.loads((checkpoint / STATE_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return f"{STATE_FILE}, which is written last, is absent or cut short"
    if not isinstance(state, Mapping) or "global_step" not in state:
        return f"{STATE_FILE} holds no step"
    if (fault := _fault_of_weights(checkpoint) or _fault_of_optimizer(checkpoint)) is not None:
        return fault
    # The directory of a zip archive stands at its end, so one that can be read was written whole.
    for pattern in ("*.pt", "*.pth", "*.bin", "global_step*/*.pt"):
        for path in checkpoint.glob(pattern):
            if not zipfile.is_zipfile(path):
                return f"{path.relative_to(checkpoint)} is cut short"
    states = len(list(checkpoint.glob("rng_state*.pth")))
    expected = _said(checkpoint).get("processes", 1)
    if states < expected:
        return f"it holds the random state of {states} processes out of {expected}"
    try:
        read_plan(checkpoint)
    except ValueError as error:
        return str(error)
    return None


def _shards(checkpoint: Path, pattern: str) -> list[Path]:
    """Return the folders of DeepSpeed's and FSDP's own files."""
    return [path for path in checkpoint.glob(pattern) if path.is_dir()]


def _fault_of_weights(checkpoint: Path) -> str | None:
    weights = sorted(checkpoint.glob("*.safetensors"))
    if not weights and not _shards(checkpoint, "global_step*") and not _shards(checkpoint, "pytorch_model*"):
        return "it holds no weights"
    for path in weights:
        if not _whole_weights(path):
            return f"{path.name} is cut short"
    for index in checkpoint.glob("*.safetensors.index.json"):
        for name in set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()):
            if not (checkpoint / name).is_file():
                return f"{name} is absent"
    return None


def _fault_of_optimizer(checkpoint: Path) -> str | None:
    # Sharded by torch: the list of a folder's pieces is written after them.
    pieces = [*_shards(checkpoint, "pytorch_model*"), *_shards(checkpoint, "optimizer_*")]
    for folder in pieces:
        if not (folder / ".metadata").is_file():
            return f"{folder.name} is cut short"
    whole = any((checkpoint / name).is_file() for name in ("optimizer.pt", "optimizer.bin"))
    if not whole and not _shards(checkpoint, "global_step*") and not _shards(checkpoint, "optimizer_*"):
        return "it holds no state of the optimiser (saved with save_only_model?)"
    return None


def read_plan(checkpoint: Path) -> list[LaneState]:
    """Return where the plan of a checkpoint's rows stood; nothing where its rows were not packed.

    Args:
        checkpoint: Folder of a checkpoint.

    Raises:
        ValueError: Its rows were packed, but the file is absent, cut short, or not as far as the checkpoint.
    """
    said = _said(checkpoint)
    packed = (said.get("recipe") or {}).get("packing") is not None
    path = checkpoint / PLAN_FILE
    if not path.is_file():
        if packed:
            raise ValueError(f"{PLAN_FILE}, which says how far its rows are planned, is absent")
        return []
    try:
        states = [LaneState.from_dict(state) for state in json.loads(path.read_text(encoding="utf-8"))["lanes"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{PLAN_FILE} is cut short or no plan ({error})") from error
    planned = sum(state.packs for state in states)
    if packed and planned != said.get("next_row"):
        raise ValueError(f"{PLAN_FILE} has planned {planned} rows where {said.get('next_row')} were trained")
    return states


def write_plan(checkpoint: Path, states: Iterable[LaneState]) -> None:
    """Write where the plan of rows stands into a checkpoint.

    Args:
        checkpoint: Folder of a checkpoint.
        states: Lanes as the processes last saw them; of one that several saw, the one furthest on counts.
    """
    latest: dict[int, LaneState] = {}
    for state in states:
        if state.lane not in latest or latest[state.lane].packs < state.packs:
            latest[state.lane] = state
    lanes = [latest[lane].to_dict() for lane in sorted(latest)]
    dropped = sum((Counter(lane["dropped"]) for lane in lanes), Counter[str]())
    content = json.dumps({"dropped": dict(dropped), "lanes": lanes})
    (checkpoint / PLAN_FILE).write_text(content, encoding="utf-8")


@contextmanager
def writing(folder: Path, *, output: str | Path) -> Iterator[None]:
    """Write a checkpoint or nothing: what could not be written to its end is removed.

    Args:
        folder: Where it is written; the run's own folder is not removed.
        output: The run's folder, with the checkpoints before.

    Raises:
        OSError: Writing failed; the message says which checkpoint is whole, and what to do.
    """
    try:
        yield
    except Exception as error:
        if not _is_of_disk(error):
            raise
        if folder != Path(output):
            shutil.rmtree(folder, ignore_errors=True)
        last = last_complete(output)
        raise OSError(
            f"{folder} could not be written ({error}); "
            + (f"{last} is whole" if last else "no checkpoint is whole")
            + ", free some space or lower train.save_total_limit, then go on with --resume"
        ) from error


def _is_of_disk(error: Exception) -> bool:
    """Tell failed writing from other faults; torch and safetensors wrap the system's errors in their own."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    words = r"No space|os error|File too large|file write failed|unexpected pos|PytorchStreamWriter|iostream|I/O"
    return "OSError" in kinds or bool(re.search(words, str(error)))


def run_of(recipe: Mapping[str, Any], *, rows_per_step: int, step: int, processes: int) -> dict[str, Any]:
    """Return what a checkpoint says about its run.

    Args:
        recipe: The recipe's plain values.
        rows_per_step: Rows that all processes together train in a step.
        step: Steps done.
        processes: Number of processes.
    """
    from importlib.metadata import PackageNotFoundError, version

    versions = {}
    for name in ("rscovlm", "torch", "transformers", "trl", "accelerate", "peft", "deepspeed"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "recipe": recipe,
        "rows_per_step": rows_per_step,
        "next_row": step * rows_per_step,
        "processes": processes,
        "versions": versions,
    }


def counts_of(checkpoint: Path, limit: float) -> tuple[Tally, int]:
    """Return how many samples a checkpoint's run had used and lost by then, and how many tokens trained.

    Args:
        checkpoint: Folder of a checkpoint; one that does not say has counted nothing.
        limit: Largest share of unusable samples, as in `Tally`.

    Raises:
        ValueError: What it says are no counts.
    """
    said, tally = _said(checkpoint), Tally(limit)
    if said.get("samples") is not None:
        tally.load(said["samples"])
    return tally, int(said.get("tokens") or 0)


def changes_of(checkpoint: Path) -> list[Any]:
    """Return the changes of weights that a checkpoint remembers, oldest first."""
    changes = _said(checkpoint).get("changes", [])
    return changes if isinstance(changes, list) else []


def check_same_run(checkpoint: Path, recipe: Mapping[str, Any], rows_per_step: int) -> None:
    """Refuse a checkpoint whose rows to come would not be those of this run.

    Args:
        checkpoint: Where to go on from.
        recipe: The plain values of the recipe to run.
        rows_per_step: Rows that all processes together train in a step.

    Raises:
        ValueError: The checkpoint says nothing of its recipe, or is of another; the message names the keys that differ.
    """
    said = _said(checkpoint)
    if "recipe" not in said:
        raise ValueError(
            f"{checkpoint} does not say which recipe it belongs to ({RUN_FILE} is absent); "
            "set it as the recipe's model to start from its weights"
        )
    # What is measured decides the weights to come where they follow it.
    bound = ("evaluation",) if recipe.get("balance") else ()
    differing = [
        key
        for key in differences(said["recipe"], recipe)
        if key.startswith(bound) or not _FREE.fullmatch(key.removeprefix("train."))
    ]
    if differing:
        shown = "; ".join(f"{key}: {_at(said['recipe'], key)} there, {_at(recipe, key)} here" for key in differing[:5])
        raise ValueError(
            f"{checkpoint} belongs to another recipe ({shown}); go on with its own, or set it as the recipe's model "
            "and start a new run in another output folder"
        )
    if said["rows_per_step"] != rows_per_step:
        raise ValueError(
            f"{checkpoint} trained {said['rows_per_step']} rows a step, this run would train {rows_per_step}; "
            "set processes x per_device_train_batch_size x gradient_accumulation_steps to the same product"
        )


def differences(one: Any, other: Any, path: str = "") -> list[str]:
    """Return the keys, joined by dots, at which two trees of plain values differ.

    >>> differences({"a": 1, "b": {"c": 2}}, {"a": 1, "b": {"c": 3}, "d": 4})
    ['b.c', 'd']
    >>> differences({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}]})
    ['a.1.b']
    """
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        keys = sorted({*one, *other})
        return [
            found
            for key in keys
            for found in differences(one.get(key), other.get(key), f"{path}.{key}" if path else str(key))
        ]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = zip(one, other, strict=True)
        return [found for place, pair in enumerate(pairs) for found in differences(*pair, f"{path}.{place}")]
    return [] if one == other else [path]


def _at(tree: Any, path: str) -> str:
    """Return in a few words what a tree of plain values holds at keys and places joined by dots."""
    for key in path.split("."):
        tree = tree[int(key)] if isinstance(tree, list) else tree.get(key) if isinstance(tree, Mapping) else None
    text = repr(tree)
    return text if len(text) <= 80 else f"{text[:80]}..."


def _said(checkpoint: Path) -> dict[str, Any]:
    try:
        said = json.loads((checkpoint / RUN_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}


def _whole_weights(path: Path) -> bool:
    """Tell from the header of a safetensors file whether all its bytes are there."""
    try:
        with safe_open(path, framework="np"):
            return True
    except (SafetensorError, OSError):
        return False
