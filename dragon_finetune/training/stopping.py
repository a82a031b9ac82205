"""A run that is told to stop (Ctrl-C, SIGTERM, a closed terminal) saves a checkpoint first and says how to go on."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from dragon_finetune.errors import StoppedError

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")  # the last is Windows' own; the one before is not there
_SIGNALS = tuple(getattr(signal, name) for name in _NAMES if hasattr(signal, name))
_NOTE = b"\nstopping after this step, which is saved (Ctrl-C once more: at once)\n"


class StopCallback(TrainerCallback):
    """Saves and ends the run at the next step once `ask` was called; `.step` says where, None if nobody asked."""

    def __init__(self) -> None:
        self.step: int | None = None
        self.saved: int | None = None
        self._asked = False

    def ask(self, number: int, frame: FrameType | None) -> None:
        """Note the signal; a second Ctrl-C ends the process at once."""
        if self._asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        if not self._asked:
            os.write(2, _NOTE)  # `print` may be what was interrupted
        self._asked = True

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """End the run here if it was asked for."""
        if self._is_asked(args):
            self.step = state.global_step
            control.should_save = control.should_training_stop = True

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Note which step is saved."""
        self.saved = state.global_step

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Note a signal that came after the last step."""
        if self.step is None and self._is_asked(args):
            self.step = state.global_step

    def _is_asked(self, args: TrainingArguments) -> bool:
        # Processes that train together must stop at one step, and a signal reaches each at its own time.
        if args.world_size > 1 and torch.distributed.is_initialized():
            asked = torch.tensor(int(self._asked), device=args.device)
            torch.distributed.all_reduce(asked, torch.distributed.ReduceOp.MAX)
            return bool(asked)
        return self._asked


@contextmanager
def stoppable(callback: StopCallback) -> Iterator[None]:
    """Let signals ask `callback` to stop while the block runs; afterwards raise StoppedError if it did.

    Only the main thread can be told by signals; elsewhere nothing changes. What is ignored (nohup) stays so.
    """
    before = {}
    if threading.current_thread() is threading.main_thread():
        handled = [number for number in _SIGNALS if signal.getsignal(number) not in (signal.SIG_IGN, None)]
        before = {number: signal.signal(number, callback.ask) for number in handled}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if callback.step is not None:
        saved = "which is saved" if callback.saved == callback.step else "what was saved before it is kept"
        raise StoppedError(f"stopped at step {callback.step}, {saved}; run the same command again to go on")
