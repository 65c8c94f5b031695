"""A run that is ready to start, and its folder: one run at a time writes to it, and none begins over another's checkpoints."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from errno import EACCES, EAGAIN
from pathlib import Path
from typing import Any

from rscovlm.files import mark
from rscovlm.training.checkpoints import checkpoints_of, fault_of, writing
from rscovlm.training.preflight import Preflight

LOCK_FILE = ".rscovlm.lock"
"""File of a run's folder that a running one holds; what a killed run leaves of it binds nobody."""


RUN_MARK = ".rscovlm"
"""File of a run's folder that says that what is there comes from a run of ours."""

SAVED = ("*.safetensors", "*.bin", "*.json", "*.jinja", "evaluation.jsonl", "README.md", "checkpoint-*")
"""What a run writes into its folder."""


@dataclass(frozen=True)
class TrainingRun:
    """A run that is ready to start.

    Attributes:
        trainer: A `trl.SFTTrainer`.
        report: What the check before the first step found.
        checkpoint: The checkpoint that it resumes from; None starts anew.
    """

    trainer: Any
    report: Preflight
    checkpoint: Path | None = None

    def train(self) -> None:
        """Train to the end, and save model, processor and state in the output folder.

        Raises:
            ValueError: The run begins in a folder with checkpoints of another, or another run writes to it.
            ConnectionError: With `push_to_hub`, the Hub failed after all was saved; `rscovlm push model` resumes.
        """
        output = Path(self.trainer.args.output_dir)
        main = self.trainer.is_world_process_zero()
        with claimed(output, resumed=self.checkpoint is not None) if main else nullcontext():
            if main:
                output.mkdir(parents=True, exist_ok=True)
                (output / RUN_MARK).write_text(mark("training") + "\n", encoding="utf-8")
            self.trainer.train(resume_from_checkpoint=None if self.checkpoint is None else str(self.checkpoint))
            with writing(output, output=output):
                self.trainer.save_model(str(output), _internal_call=True)
                self.trainer.save_state()
            if self.trainer.args.push_to_hub:
                # After all is saved: where the Hub fails, nothing of the run is lost.
                self.trainer.publish(output)


def check_output(folder: str | Path, *, resumed: bool = False) -> None:
    """Look whether a run's folder can be written to, or made; nothing is made yet.

    Args:
        folder: Where checkpoints go.
        resumed: The run resumes from a checkpoint there.

    Raises:
        ValueError: It is no folder, cannot be written to, or holds a model that no run of ours saved.
    """
    path = Path(folder).absolute()
    there = next(place for place in (path, *path.parents) if place.exists())
    if not there.is_dir():
        raise ValueError(f"output folder {str(folder)!r} cannot be used: {there} is a file; choose another")
    if not os.access(there, os.W_OK | os.X_OK):
        raise ValueError(f"output folder {str(folder)!r} cannot be used: {there} cannot be written to; choose another")
    if not resumed:
        _check_ours(path)


@contextmanager
def claimed(folder: Path, *, resumed: bool) -> Iterator[None]:
    """Keep other runs out of a folder while this one trains.

    Args:
        folder: Where checkpoints go.
        resumed: The run resumes from a checkpoint there.

    Raises:
        ValueError: Another run writes to it; or this one begins and there are checkpoints of an earlier one, among which a later
            ``--resume`` could not tell whose are whose; or it begins and there is a model that no run of ours saved.
    """
    with _locked(folder):
        if not resumed:
            _check_ours(folder)
        whole = None if resumed else next((path for path in checkpoints_of(folder) if fault_of(path) is None), None)
        if whole is not None:
            raise ValueError(
                f"{folder} has checkpoints of an earlier run ({whole.name} is the last); resume from it with --resume, or "
                "choose another output folder"
            )
        yield


def _check_ours(folder: Path) -> None:
    """Refuse a folder with a model or checkpoints that no run of ours put there: saving would replace them."""
    if (folder / RUN_MARK).is_file():
        return
    there = sorted({path.name for ending in SAVED for path in folder.glob(ending)})
    if there:
        raise ValueError(
            f"output folder {str(folder)!r} holds {', '.join(there[:3])}, which no run of rscovlm put there and which "
            "training would replace; choose another"
        )


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    try:
        import fcntl
    except ImportError:  # Windows has no such locks
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK_FILE
    with path.open("a") as file:
        try:
            # Of this process alone: what loads data may outlive it for a while, and shall not keep its successor out.
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (EACCES, EAGAIN):
                message = f"another run is writing to {folder}; end it first, or choose another output folder"
                raise ValueError(message) from error
            # Else a network file system that knows no locks.
        try:
            yield
        finally:
            with suppress(OSError):
                path.unlink()
