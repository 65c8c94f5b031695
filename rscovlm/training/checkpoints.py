"""Checkpoints that a run may resume from: written to their end, and as they were written."""

from __future__ import annotations

import json
import logging
import re
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal
from zlib import crc32

from safetensors import SafetensorError, safe_open

from rscovlm.training.provenance import read_plan

logger = logging.getLogger(__name__)

FILES_FILE = "rscovlm_files.json"
"""File of a checkpoint that lists all others but the state, by size and, of small ones, checksum."""

STATE_FILE = "trainer_state.json"
"""What the trainer writes last into a checkpoint; without it nothing of the checkpoint counts."""

Engine = Literal["DeepSpeed", "FSDP", "plain"]
"""Who keeps the optimiser's state; none reads what another wrote."""

_SMALL = 1 << 24
"""Bytes up to which a file is held against its checksum; larger ones, read in a run's every save, would take minutes."""


def last_complete(folder: str | Path) -> Path | None:
    """Return the checkpoint of most steps in a folder that was written to its end, or None.

    What was being written when a run was killed, or when the disk was full, is passed over with a warning that says why.

    Args:
        folder: The run's output folder; it need not exist.
    """
    for path in checkpoints_of(folder):
        fault = fault_of(path)
        if fault is None:
            return path
        logger.warning("%s is passed over: %s", path, fault)
    return None


def to_go_on_from(folder: str | Path) -> Path | None:
    """Return the last whole checkpoint of a folder, or None where no checkpoint was written to its end.

    Args:
        folder: The run's output folder; it need not exist.

    Raises:
        ValueError: Checkpoints were written to their end, but a run can resume from none of them; to start again would destroy them.
    """
    found = last_complete(folder)
    finished = [path for path in checkpoints_of(folder) if _fault_of_state(path) is None]
    if found is None and finished:
        said = "; ".join(f"{path.name}: {fault_of(path)}" for path in finished[:3])
        raise ValueError(
            f"no checkpoint in {folder} can be resumed from ({said}); to start again, move them away or choose another output "
            "folder, or set one as the recipe's model to start from its weights"
        )
    return found


def checkpoints_of(folder: str | Path) -> list[Path]:
    """Return the checkpoints of a folder, whole or not, of most steps first."""
    steps = {path: path.name.removeprefix("checkpoint-") for path in Path(folder).glob("checkpoint-*")}
    return sorted((path for path in steps if steps[path].isdigit()), key=lambda path: int(steps[path]), reverse=True)


def fault_of(checkpoint: Path) -> str | None:
    """Return what keeps a run from resuming from a checkpoint, or None where it is whole.

    Args:
        checkpoint: Folder of a checkpoint.
    """
    if (fault := _fault_of_state(checkpoint)) is not None:
        return fault
    if engine_of(checkpoint) is None:
        return "it holds no state of the optimiser (saved with save_only_model?)"
    try:
        listed = json.loads((checkpoint / FILES_FILE).read_text(encoding="utf-8"))
        faults = (_fault_of_file(checkpoint / name, *entry) for name, entry in listed.items())
        if (found := next((fault for fault in faults if fault is not None), None)) is not None:
            return found
    except (OSError, ValueError, AttributeError, TypeError):
        # The file may hold anything: a kill or a full disk cut it, or somebody wrote it.
        return f"{FILES_FILE}, which lists what was written, is absent or damaged"
    try:
        read_plan(checkpoint)
    except ValueError as error:
        return str(error)
    return None


def engine_of(checkpoint: Path) -> Engine | None:
    """Return who wrote the optimiser's state of a checkpoint, or None if there is none."""
    if any(checkpoint.glob("global_step*/")):
        return "DeepSpeed"
    if any(checkpoint.glob("optimizer_*/")) or (checkpoint / "optimizer.bin").is_file():
        return "FSDP"
    return "plain" if (checkpoint / "optimizer.pt").is_file() else None


def check_same_engine(checkpoint: Path, engine: Engine) -> None:
    """Refuse a checkpoint whose optimiser's state would be left where it is, without a word, by who trains now.

    Args:
        checkpoint: Where to resume from.
        engine: Who trains.

    Raises:
        ValueError: Another engine wrote the checkpoint.
    """
    names = {"DeepSpeed": "under DeepSpeed", "FSDP": "under FSDP", "plain": "with neither DeepSpeed nor FSDP"}
    before = engine_of(checkpoint)
    if before is not None and before != engine:
        raise ValueError(
            f"{checkpoint} was trained {names[before]} and this run is {names[engine]}, which cannot read its optimiser's "
            "state; start it as it was started, or set it as the recipe's model and start a new run"
        )


def list_files(checkpoint: Path) -> None:
    """Write down what a checkpoint holds, once all processes have written their parts.

    Args:
        checkpoint: Folder of a checkpoint; its state and pages of text may still change.
    """
    free = (FILES_FILE, STATE_FILE)
    paths = [
        path for path in checkpoint.rglob("*") if path.is_file() and path.name not in free and path.suffix != ".md"
    ]
    listed = {path.relative_to(checkpoint).as_posix(): _measured(path) for path in sorted(paths)}
    (checkpoint / FILES_FILE).write_text(json.dumps(listed, indent=1), encoding="utf-8")


def _measured(path: Path) -> tuple[int, int | None]:
    """Return a file's size and, where it is small, its checksum."""
    # Opened even for its size: a network file system is sure to know what other machines wrote only then.
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        return size, crc32(file.read()) if size <= _SMALL else None


def _fault_of_state(checkpoint: Path) -> str | None:
    try:
        state = json.loads((checkpoint / STATE_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return f"{STATE_FILE}, which is written last, is absent or cut short"
    return None if isinstance(state, Mapping) and "global_step" in state else f"{STATE_FILE} holds no step"


def _fault_of_file(path: Path, size: int, checksum: int | None) -> str | None:
    """Return how a file differs from what was listed, or None."""
    if not path.is_file():
        return f"{path.name} is absent"
    found, sum_ = _measured(path)
    if found != size:
        return f"{path.name} has {found:,} bytes where {size:,} were written"
    return f"{path.name} is not as it was written" if sum_ != checksum or not _readable(path) else None


def _readable(path: Path) -> bool:
    """Tell from what frames them whether weights, or an archive of torch, can be read at all."""
    if path.suffix == ".safetensors":
        try:
            with safe_open(path, framework="np"):
                return True
        except (SafetensorError, OSError):
            return False
    return path.suffix not in (".pt", ".pth", ".bin") or zipfile.is_zipfile(path)


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
        # Safetensors reports a full disk by its own errors; errors of other causes are raised as they are.
        if not _is_of_disk(error):
            raise
        if folder != Path(output):
            shutil.rmtree(folder, ignore_errors=True)
        last = last_complete(output)
        raise OSError(
            f"{folder} could not be written ({error}); "
            + (f"{last} is whole" if last else "no checkpoint is whole")
            + ", free some space, lower train.save_total_limit or see that the folder can be written to, then resume with --resume"
        ) from error


def name_magnitudes(folder: Path) -> None:
    """Name the magnitudes of a saved DoRA adapter so that loaders find them.

    peft leaves ``.weight`` out of their names. transformers, which loads a model from an adapter's folder by itself, does not
    know that and begins them anew, with a warning; peft takes both names.

    Args:
        folder: Where an adapter was saved; of anything else nothing is changed.
    """
    from safetensors.torch import save_file

    path = folder / "adapter_model.safetensors"
    if not path.is_file():
        return
    with safe_open(path, framework="pt") as file:
        renamed = {name: f"{name}.weight" for name in file.keys() if name.endswith("lora_magnitude_vector")}  # noqa: SIM118
        if not renamed:
            return
        weights = {renamed.get(name, name): file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        metadata = file.metadata()
    save_file(weights, path, metadata=metadata)


def _is_of_disk(error: Exception) -> bool:
    """Tell failed writing from other faults; torch and safetensors wrap the system's errors in their own."""
    kinds = {kind.__name__ for kind in type(error).__mro__}
    words = r"No space|os error|File too large|file write failed|unexpected pos|PytorchStreamWriter|iostream|I/O"
    return "OSError" in kinds or bool(re.search(words, str(error)))
