"""A run that is told to stop (Ctrl-C, SIGTERM) saves a checkpoint first and says how to go on."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from dragon_finetune.errors import StoppedError

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopCallback(TrainerCallback):
    """Saves and ends the run at the next step once `ask` was called; `.step` says where, None if it ran to its end."""

    def __init__(self) -> None:
        self.step: int | None = None
        self._asked = False

    def ask(self, number: int, frame: FrameType | None) -> None:
        """Note the signal; a second one ends the process at once."""
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """End the run here if it was asked for."""
        if self._asked and state.global_step < state.max_steps:
            self.step = state.global_step
            control.should_save = control.should_training_stop = True


@contextmanager
def stoppable(callback: StopCallback) -> Iterator[None]:
    """Let signals ask `callback` to stop while the block runs; afterwards raise StoppedError if it did.

    Only the main thread can be told by signals; elsewhere nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, callback.ask) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if callback.step is not None:
        raise StoppedError(f"stopped at step {callback.step}, which is saved; run the same command again to go on")
