"""What a Trainer says of its steps on stderr."""

from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from dragon_finetune.progress import progress


class BarCallback(TrainerCallback):
    """Says on stderr how far training is (`progress`). (The Trainer's own bar writes its logs to stdout.)"""

    def __init__(self) -> None:
        self._bar: Any = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Open the bar."""
        self._bar = progress(total=state.max_steps, initial=state.global_step, desc="train", unit="step")

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Move it."""
        self._bar.update(state.global_step - self._bar.n)

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Show the loss."""
        loss = state.log_history[-1].get("loss") if state.log_history else None
        if loss is not None:
            self._bar.set_postfix(loss=f"{loss:.4f}")

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Say no more, also where training ended by an error."""
        if self._bar is not None:
            self._bar.close()
