"""Runs a recipe in a process of its own, writes down what each step trained, and dies where it is told to.

Arguments: recipe, root, output, log, and what to do: ``--resume``, ``--kill-at STEP``, ``--kill-saving STEP``,
``--largest BYTES`` (no file may grow beyond).
"""

import argparse
import hashlib
import json
import os
import resource
import signal
from pathlib import Path
from typing import Any

import torch

import rscovlm  # noqa: F401  registers the processor
from rscovlm.training.recipe import TrainingRecipe, prepare


def _digest(batch: dict[str, Any]) -> str:
    found = hashlib.sha256()
    for name in sorted(batch):
        value = batch[name]
        if isinstance(value, torch.Tensor):
            found.update(name.encode() + str(tuple(value.shape)).encode() + value.numpy().tobytes())
    return found.hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("recipe", "root", "output", "log"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--kill-at", type=int, default=-1)
    parser.add_argument("--kill-saving", type=int, default=-1)
    parser.add_argument("--largest", type=int, default=0)
    options = parser.parse_args()
    run = prepare(TrainingRecipe.load(options.recipe), root=options.root, output=options.output, resume=options.resume)
    trainer = run.trainer
    step = trainer.training_step
    saves = trainer._save_optimizer_and_scheduler

    def training_step(model: Any, inputs: Any, *rest: Any) -> Any:
        number = trainer.state.global_step
        if number == options.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        digest = _digest(inputs)
        loss = step(model, inputs, *rest)
        with options.log.open("a") as file:
            file.write(json.dumps({"step": number, "digest": digest, "loss": loss.item()}) + "\n")
        return loss

    def saving(*rest: Any) -> None:
        if trainer.state.global_step == options.kill_saving:
            os.kill(os.getpid(), signal.SIGKILL)
        if options.largest and trainer.state.global_step > 2:
            resource.setrlimit(resource.RLIMIT_FSIZE, (options.largest, options.largest))
        saves(*rest)

    trainer.training_step = training_step
    trainer._save_optimizer_and_scheduler = saving
    run.train()


if __name__ == "__main__":
    main()
