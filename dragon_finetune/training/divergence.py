"""What stops a run whose loss or gradient is no number, or whose loss grows and grows."""

import math
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

_DIVERGED = 3  # a loss this many times the first one, at that many logs in a row


class DivergenceCallback(TrainerCallback):
    """Stops a run whose loss or gradient is no number, or whose loss grows and grows; `.trouble` says so."""

    def __init__(self) -> None:
        self.trouble: str | None = None
        self._first: float | None = None
        self._above = 0

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Look at the newest loss and gradient norm."""
        for name in ("loss", "grad_norm"):
            value = (logs or {}).get(name)
            if value is not None and not math.isfinite(float(value)):
                self._stop(control, f"{name} is {value} at step {state.global_step}")
        loss = (logs or {}).get("loss")
        if loss is None or self.trouble:
            return
        self._first = float(loss) if self._first is None else self._first
        self._above = self._above + 1 if float(loss) > _DIVERGED * self._first else 0
        if self._above >= _DIVERGED:
            self._stop(
                control, f"the loss grew from {self._first:.3f} to {float(loss):.3f} by step {state.global_step}"
            )

    def _stop(self, control: TrainerControl, what: str) -> None:
        self.trouble = f"divergence: {what}. Lower the learning rate, lengthen the warm-up, or train in fp32"
        control.should_training_stop = True
