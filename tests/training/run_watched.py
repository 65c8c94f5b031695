"""Runs recipes in processes of their own, which write down what each step trained and die where they are told to.

Started as a server it reads a `Job` a line and answers with the exit code of each of its processes; they are forked, so
that torch and its company are imported once. Started by a launcher (``accelerate launch -m tests.training.run_watched JOB``)
it is one process of a job.
"""

import hashlib
import json
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import trl

import rscovlm  # noqa: F401  registers the processor
from rscovlm.training.recipe import TrainingRecipe
from rscovlm.training.rounds import Rounds
from rscovlm.training.stages import prepare
from tests.training.courses import Job, descendants

_SAVING = ("_save", "_save_optimizer_and_scheduler", "_save_scaler", "_save_rng_state", "_save_checkpoint")


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _die_after(seconds: float) -> None:
    """Have another process kill this one, wherever it is by then."""
    victim = os.getpid()
    if os.fork() == 0:
        time.sleep(seconds)
        os.kill(victim, signal.SIGKILL)
        os._exit(0)


def _digest(batch: dict[str, Any]) -> str:
    found = hashlib.sha256()
    for name in sorted(batch):
        value = batch[name]
        if isinstance(value, torch.Tensor):
            found.update(name.encode() + str(tuple(value.shape)).encode() + value.numpy().tobytes())
    return found.hexdigest()


def _claim_accelerators() -> None:
    """Have the trainer's accelerator believe that the processes of this job have GPUs, without which it takes no FSDP."""
    from accelerate.state import DistributedType, PartialState

    create = trl.SFTTrainer.create_accelerator_and_postprocess

    def claiming(trainer: Any) -> None:
        PartialState().distributed_type = DistributedType.MULTI_GPU
        create(trainer)

    trl.SFTTrainer.create_accelerator_and_postprocess = claiming


def run(job: Job) -> None:
    """Be one process of a job."""
    rank = int(os.environ.get("RANK", "0"))
    if job.fsdp:
        _claim_accelerators()
    made = prepare(TrainingRecipe.load(job.recipe), root=job.root, output=job.output, resume=job.resume)
    trainer = made.trainer
    step = trainer.training_step
    rounds = [callback for callback in trainer.callback_handler.callbacks if isinstance(callback, Rounds)]
    changes = rounds[0].changes if rounds else []

    def training_step(model: Any, inputs: Any, *rest: Any) -> Any:
        number = trainer.state.global_step
        if number == job.kill_at and rank == job.kill_rank:
            _die()
        if number == job.term_at and rank == job.kill_rank:
            for process in [os.getpid(), *descendants(os.getpid())]:
                os.kill(process, signal.SIGTERM)
        entry = {"step": number, "digest": _digest(inputs), "processes": trainer.accelerator.num_processes}
        entry |= {"images": "pixel_values" in inputs, "weights": [dict(change.weights) for change in changes]}
        loss = step(model, inputs, *rest)
        with Path(f"{job.log}.{rank}").open("a") as file:
            file.write(json.dumps({**entry, "loss": loss.item()}) + "\n")
        return loss

    def watched(name: str) -> Callable[..., None]:
        method: Callable[..., None] = getattr(trainer, name)

        def saving(*arguments: Any, **options: Any) -> None:
            if trainer.state.global_step == job.kill_saving and rank == job.kill_rank and name == job.kill_in:
                _die_after(job.kill_after) if name == _SAVING[-1] else _die()
            if job.largest and trainer.state.global_step > 2:
                resource.setrlimit(resource.RLIMIT_FSIZE, (job.largest, job.largest))
            method(*arguments, **options)

        return saving

    trainer.training_step = training_step
    for name in _SAVING:
        setattr(trainer, name, watched(name))
    made.train()
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def _forked(job: Job, rank: int, port: int) -> int:
    """Start one process of a job and return its id."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        said = os.open(f"{job.log}.said", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(said, 1)
        os.dup2(said, 2)
        os.environ.update(job.environment)
        if job.processes > 1:
            names = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": job.processes, "LOCAL_WORLD_SIZE": job.processes}
            os.environ.update({name: str(value) for name, value in names.items()})
            os.environ.update({"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)})
        run(job)
        code = 0
    finally:
        if code:
            sys.excepthook(*sys.exc_info())
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def serve(job: Job) -> list[int]:
    """Run a job to its end; where one of its processes dies the others are killed, as launchers do."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    alive = {_forked(job, rank, port): rank for rank in range(job.processes)}
    codes = [0] * job.processes
    while alive:
        child, status = os.wait()
        if child not in alive:
            continue
        rank = alive.pop(child)
        codes[rank] = os.waitstatus_to_exitcode(status)
        if codes[rank]:
            for other in alive:
                os.kill(other, signal.SIGKILL)
    return codes


def main() -> None:
    if len(sys.argv) > 1:
        run(Job(**json.loads(sys.argv[1])))
        return
    for line in sys.stdin:
        codes = serve(Job(**json.loads(line)))
        sys.stdout.write(json.dumps(codes) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
