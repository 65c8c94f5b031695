"""The course of a run that nothing disturbs, and runs of the same recipe that are killed and go on."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from rscovlm.training.checkpoints import last_complete

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "DS_ACCELERATOR": "cpu"}


@dataclass
class Job:
    """What to run, and what befalls it.

    Attributes:
        recipe: File of the recipe.
        root: Folder of its data.
        output: Folder for checkpoints.
        log: File for what each step trained, one a process: its rank is appended.
        processes: How many.
        resume: Go on from the last whole checkpoint.
        kill_at: Step before which ``kill_rank`` is killed.
        kill_saving: Step whose saving ``kill_rank`` is killed in.
        kill_in: Method of the trainer before which it is then killed; the last, `_save_checkpoint`, means after so many
            seconds of it, by another process.
        kill_after: Those seconds.
        kill_rank: Process that is killed.
        term_at: Step in which ``kill_rank``, and what it started, get SIGTERM.
        largest: Size in bytes beyond which no file may grow once two steps are done; 0 sets none.
        environment: Set in the processes.
        fsdp: Have accelerate take its path for FSDP, which it takes for accelerators alone, on the CPU.
    """

    recipe: str
    root: str
    output: str
    log: str
    processes: int = 1
    resume: bool = False
    kill_at: int = -1
    kill_saving: int = -1
    kill_in: str = "_save_optimizer_and_scheduler"
    kill_after: float = 0.0
    kill_rank: int = 0
    term_at: int = -1
    largest: int = 0
    environment: dict[str, str] = field(default_factory=dict)
    fsdp: bool = False


class Server:
    """Runs jobs one after another in processes forked from one that has imported everything."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process

    def run(self, job: Job) -> list[int]:
        """Run a job to its end and return the exit code of each of its processes."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(asdict(job)) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        while answer and not answer.startswith("["):  # what libraries print on import
            answer = self.process.stdout.readline()
        codes: list[int] = json.loads(answer)
        return codes


class Launcher(Server):
    """Runs jobs as users do, by a launcher that starts processes of its own; what is killed is all of them at once.

    Args:
        command: The launcher and its options, up to what it starts.
    """

    def __init__(self, command: list[str]) -> None:
        self.command = command

    def run(self, job: Job) -> list[int]:
        """Run a job to its end, or until the step before which it is killed, launcher and all that it started."""
        told = json.dumps(asdict(replace(job, kill_at=-1)))
        command = [*self.command, "-m", "tests.training.run_watched", told]
        with open(f"{job.log}.said", "ab") as said:
            process = subprocess.Popen(
                command, stdout=said, stderr=said, cwd=ROOT, env=ENVIRONMENT, start_new_session=True
            )
            while process.poll() is None:
                time.sleep(0.01)
                log = Path(f"{job.log}.0")
                if 0 <= job.kill_at <= (len(log.read_text().splitlines()) if log.exists() else -1):
                    for alive in [process.pid, *descendants(process.pid)]:
                        os.kill(alive, signal.SIGKILL)
                    process.wait()
        return [process.returncode] * job.processes


def descendants(parent: int) -> list[int]:
    """Return the processes that a process started, and those these started; launchers put them in groups of their own."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            children.setdefault(int(entry.read_text().rpartition(")")[2].split()[1]), []).append(int(entry.parent.name))
    found = list(children.get(parent, ()))
    for child in found:
        found += children.get(child, ())
    return found


@contextmanager
def serving() -> Iterator[Server]:
    """Start a server and end it."""
    command = [sys.executable, "-m", "tests.training.run_watched"]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=ENVIRONMENT
    )
    try:
        yield Server(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(60)


class Course:
    """A recipe that saves as it goes, and what a run of it trained that nothing disturbed.

    Args:
        server: Runs it.
        folder: For the recipe and all output.
        root: Folder of its data.
        recipe: Plain values.
        settings: Of every job of the course.
    """

    def __init__(self, server: Server, folder: Path, root: Path, recipe: dict[str, Any], **settings: Any) -> None:
        self.server, self.folder, self.root, self.recipe, self.settings = server, folder, root, recipe, settings
        folder.mkdir(exist_ok=True)
        self.path = folder / "recipe.yaml"
        self.path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
        self.processes = int(settings.get("processes", 1))
        self.whole: dict[tuple[int, int], list[dict[str, Any]]] = {}

    def job(self, name: str, **options: Any) -> Job:
        """Return a job of this course."""
        output, log = self.folder / name, self.folder / f"{name}.log"
        return Job(str(self.path), str(self.root), str(output), str(log), **{**self.settings, **options})

    def undisturbed(self) -> None:
        """Run it once without disturbance, which the other runs are held against."""
        assert self.server.run(self.job("whole")) == [0] * self.processes, self.said("whole")
        self.whole = self.log("whole")
        steps = {(step, rank) for step in range(self.recipe["steps"]) for rank in range(self.processes)}
        assert set(self.whole) == steps
        assert all(entry["processes"] == self.processes for entries in self.whole.values() for entry in entries)

    def said(self, name: str) -> str:
        """Return the end of what the processes of a run wrote to their terminals."""
        return (self.folder / f"{name}.log.said").read_text(encoding="utf-8", errors="replace")[-6000:]

    def log(self, name: str) -> dict[tuple[int, int], list[dict[str, Any]]]:
        """Return what was trained by step and rank; a step that was taken twice has more entries than one taken once."""
        found: dict[tuple[int, int], list[dict[str, Any]]] = {}
        for rank in range(self.processes):
            path = self.folder / f"{name}.log.{rank}"
            for line in path.read_text().splitlines() if path.exists() else ():
                entry = json.loads(line)
                found.setdefault((entry["step"], rank), []).append(entry)
        return found

    def losses(self, name: str) -> list[float]:
        """Return the loss of each step of a finished run, over all processes."""
        state = json.loads(
            (self.folder / name / f"checkpoint-{self.recipe['steps']}" / "trainer_state.json").read_text()
        )
        return [entry["loss"] for entry in state["log_history"] if "loss" in entry]

    def same_as_whole(self, name: str) -> None:
        """Hold a run against the one undisturbed: every step was taken, some twice, on the same batch with its loss."""
        found = self.log(name)
        assert set(found) == set(self.whole)
        for key, entries in found.items():
            expected = self.whole[key]
            for place, entry in enumerate(entries):
                # A step has as many entries as batches are accumulated; one that was broken off has fewer.
                same = expected[place % len(expected)] if len(entries) % len(expected) == 0 else None
                digests = [one["digest"] for one in expected] if same is None else [same["digest"]]
                losses = [one["loss"] for one in expected] if same is None else [same["loss"]]
                assert entry["digest"] in digests, key
                assert any(entry["loss"] == pytest.approx(loss, rel=1e-5) for loss in losses), key

    def killed_and_resumed(self, name: str, **options: Any) -> int:
        """Kill a run, go on, hold it against the one undisturbed, and return the step it went on from."""
        codes = self.server.run(self.job(name, **options))
        assert codes[options.get("kill_rank", 0)] == -9, self.said(name)
        last = last_complete(self.folder / name)
        assert self.server.run(self.job(name, resume=True)) == [0] * self.processes, self.said(name)
        assert "missing keys" not in self.said(name)
        self.same_as_whole(name)
        assert self.losses(name) == pytest.approx(self.losses("whole"), rel=1e-5)
        return 0 if last is None else int(last.name.removeprefix("checkpoint-"))
