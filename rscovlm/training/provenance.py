"""What a checkpoint says about its run: recipe, records, position in the mixture, counts; and whether another may resume from it."""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from rscovlm.data.sources import sources
from rscovlm.data.table import RecordTable
from rscovlm.mixtures.weight_stages import Stages
from rscovlm.records.tally import Tally
from rscovlm.training.plan import LaneState

logger = logging.getLogger(__name__)

RUN_FILE = "rscovlm_run.json"
"""File of a checkpoint that says which recipe it belongs to and how far in the mixture it is."""

PLAN_FILE = "rscovlm_plan.json"
"""File of a checkpoint of packed training that says where the plan of its rows stands (`LaneState`)."""

_LOOKED_AT = 64
"""Rows of a subset that are read to learn where it comes from."""

_FREE = re.compile(
    r"logging_.*|log_.*|save_.*|eval_.*|dataloader_.*|report_to|run_name|disable_tqdm|push_to_hub|hub_.*|ddp_.*"
    r"|per_device_train_batch_size|gradient_accumulation_steps|evaluation.*|output_dir|overwrite_output_dir|deepspeed|fsdp.*"
    r"|mixture\.tolerate"
)
"""Arguments of the trainer that change neither the samples nor the course of training."""


def run_of(
    recipe: Mapping[str, Any],
    *,
    records: Mapping[str, Mapping[str, str]],
    rows_per_step: int,
    step: int,
    processes: int,
) -> dict[str, Any]:
    """Return what a checkpoint says about its run.

    Args:
        recipe: The recipe's plain values.
        records: Files that are drawn from, as `records_of` gives them.
        rows_per_step: Rows that all processes together train in a step.
        step: Steps done.
        processes: Number of processes.
    """
    return {
        "recipe": recipe,
        "records": records,
        "rows_per_step": rows_per_step,
        "next_row": step * rows_per_step,
        "processes": processes,
        "versions": _versions(),
    }


def records_of(mixture: Stages) -> dict[str, dict[str, str]]:
    """Return the files that a mixture draws records from, by subset, and in a few words what each holds."""
    subsets = [subset for _, stage in mixture.stages for subset in stage.subsets]
    return {subset.name: subset.source.files for subset in subsets if isinstance(subset.source, RecordTable)}


def sources_of(mixture: Stages) -> dict[str, dict[str, str]]:
    """Return the data sets that records come from and their licences, by subset, read from up to 64 rows of each.

    Args:
        mixture: What is drawn from.
    """
    known = sources()
    found: dict[str, dict[str, str]] = {}
    for subset in (subset for _, stage in mixture.stages for subset in stage.subsets):
        if isinstance(subset.source, RecordTable):
            rows = range(0, len(subset.source), max(1, len(subset.source) // _LOOKED_AT))
            names = sorted({name for row in rows if (name := _source_of(subset.source, row)) is not None})
            found[subset.name] = {name: known[name].licence if name in known else "not known" for name in names}
    return found


def _source_of(table: RecordTable, row: int) -> str | None:
    try:
        return table[row].source
    except ValueError:  # a row that cannot be used, which training counts
        return None


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
        checkpoint: Where to resume from.
        recipe: The plain values of the recipe to run.
        rows_per_step: Rows that all processes together train in a step.

    Raises:
        ValueError: The checkpoint says nothing of its recipe, or is of another; the message names the keys that differ.
    """
    said = _said(checkpoint)
    if "recipe" not in said:
        raise ValueError(
            f"{checkpoint} does not say in {RUN_FILE} which recipe it belongs to; "
            "set it as the recipe's model to start from its weights"
        )
    then, now = said.get("versions") or {}, _versions()
    if changed := [
        f"{name} {then[name]}, now {now.get(name, 'absent')}" for name in then if then[name] != now.get(name)
    ]:
        logger.warning("%s was written with %s: what follows may differ by that", checkpoint, "; ".join(changed))
    recipe = _with_more_steps(said, recipe, checkpoint)
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
            f"{checkpoint} belongs to another recipe ({shown}); resume with its own recipe, or set it as the recipe's model "
            "and start a new run in another output folder"
        )
    if said["rows_per_step"] != rows_per_step:
        raise ValueError(
            f"{checkpoint} trained {said['rows_per_step']} rows a step, this run would train {rows_per_step}; "
            "set processes x per_device_train_batch_size x gradient_accumulation_steps to the same product"
        )


def _with_more_steps(said: Mapping[str, Any], recipe: Mapping[str, Any], checkpoint: Path) -> Mapping[str, Any]:
    """Return the recipe with the steps of the checkpoint's where it now asks for more; rows do not depend on them."""
    then, now = said["recipe"].get("steps"), recipe.get("steps")
    if not (isinstance(then, int) and isinstance(now, int) and now > then):
        return recipe
    logger.info(
        "%s is of a run of %d steps, which continues to %d; the learning rate follows the schedule of %d steps from here on",
        checkpoint,
        then,
        now,
        now,
    )
    return {**recipe, "steps": then}


def check_same_records(checkpoint: Path, records: Mapping[str, Mapping[str, str]]) -> None:
    """Refuse to resume with records that changed since: other samples would stand at the positions to come.

    Args:
        checkpoint: Where to resume from.
        records: Files of this run, as `records_of` gives them.

    Raises:
        ValueError: A file has other content, is absent or new; the message names it.
    """
    then = _said(checkpoint).get("records") or {}
    changed = [
        f"{file} of subset {subset!r} has {files.get(file, 'no rows')} and had {then[subset].get(file, 'none')}"
        for subset, files in records.items()
        for file in sorted({*files, *then.get(subset, ())})
        if subset in then and files.get(file) != then[subset].get(file)
    ]
    if changed:
        more = f"; and {len(changed) - 3} more files" if len(changed) > 3 else ""
        raise ValueError(
            f"{checkpoint} was trained on other records ({'; '.join(changed[:3])}{more}); restore them, or "
            "set it as the recipe's model and start a new run in another output folder"
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


def _versions() -> dict[str, str]:
    """Return the versions of what decides a run's course, of those that are installed."""
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in ("rscovlm", "torch", "transformers", "trl", "accelerate", "peft", "deepspeed"):
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _said(checkpoint: Path) -> dict[str, Any]:
    try:
        said = json.loads((checkpoint / RUN_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}


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
        # The file may hold anything.
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
