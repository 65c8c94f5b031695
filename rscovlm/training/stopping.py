"""Stop cleanly on SIGTERM, which schedulers send some time before they kill: finish the step and save it."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import TrainerCallback

logger = logging.getLogger(__name__)


class EndWhenTold(TrainerCallback):
    """Saves a checkpoint and ends training after the step in which any process gets SIGTERM.

    What the signal did before, by default to end the process, it does once the checkpoint is whole.

    Args:
        trainer: Whose training it ends.
    """

    def __init__(self, trainer: Any) -> None:
        self.trainer = trainer
        self.told = False
        self.ending = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Mind SIGTERM while training; only the main thread of a process can, elsewhere nothing changes."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGTERM, self._hear)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before or signal.SIG_DFL)
            _let_through(signal.SIG_UNBLOCK)
        if self.ending:
            step = self.trainer.state.global_step
            logger.warning("stopping on SIGTERM: step %d is saved, resume with --resume", step)
            self.trainer.accelerator.wait_for_everyone()
            signal.raise_signal(signal.SIGTERM)

    def _hear(self, *_: Any) -> None:
        self.told = True

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Have the workers that load data, which begin now, spared: schedulers signal them too, and the step needs them."""
        _let_through(signal.SIG_BLOCK)

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Hear again, and what came in between."""
        _let_through(signal.SIG_UNBLOCK)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Agree with the other processes on whether this step is the last."""
        told = torch.tensor(float(self.told), device=self.trainer.accelerator.device)
        if self.trainer.accelerator.reduce(told, "sum") > 0:
            self.ending = control.should_training_stop = control.should_save = True

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Leave what was just saved as it is."""
        control.should_save &= not self.ending


def _let_through(how: int) -> None:
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(how, {signal.SIGTERM})
