"""The final statistics of any Hugging Face Trainer's run."""

import time
from dataclasses import dataclass, field
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


@dataclass(frozen=True)
class FinalStats:
    """What a training run did.

    Attributes:
        final_loss: the mean training loss of the whole run, None if it trained no step. After a resume it is that of
            the logged losses, for the Trainer's own mean is then wrong.
        steps: of the whole run.
        seconds: wall time of training, without loading and validation.
        examples_per_second, tokens_per_second: of this run (after a resume: since the resume); tokens are None
            unless the callback was told how many an example has.
        log_history: everything the Trainer logged, oldest first.
    """

    final_loss: float | None
    seconds: float
    steps: int
    examples_per_second: float
    tokens_per_second: float | None
    log_history: list[dict[str, Any]] = field(repr=False)


class FinalStatsCallback(TrainerCallback):
    """Collects `FinalStats` when training ends; read them from `.stats`.

    Args:
        tokens_per_example: mean number of tokens of one example (all its texts), for tokens per second.
    """

    def __init__(self, tokens_per_example: float | None = None) -> None:
        self.stats: FinalStats | None = None
        self._tokens_per_example = tokens_per_example
        self._started = 0.0
        self._first_epoch = 0.0
        self._first_step = 0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Start the clock."""
        self._started = time.perf_counter()
        self._first_epoch = state.epoch or 0.0
        self._first_step = state.global_step

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Read the clock and the log."""
        seconds = time.perf_counter() - self._started
        batch = args.train_batch_size * args.gradient_accumulation_steps * args.world_size
        examples: float = (state.global_step - self._first_step) * batch
        loader = kwargs.get("train_dataloader")
        if loader is not None and hasattr(loader, "dataset") and state.epoch is not None:
            # The last batch of an epoch is often short, so epochs tell the truth where they are known.
            examples = min(examples, (state.epoch - self._first_epoch) * len(loader.dataset))
        rate = examples / seconds
        self.stats = FinalStats(
            final_loss=self._mean_loss(state.log_history),
            seconds=seconds,
            steps=state.global_step,
            examples_per_second=rate,
            tokens_per_second=rate * self._tokens_per_example if self._tokens_per_example else None,
            log_history=list(state.log_history),
        )

    def _mean_loss(self, log: list[dict[str, Any]]) -> float | None:
        reported = [entry["train_loss"] for entry in log if "train_loss" in entry]
        if reported and not self._first_step:
            return float(reported[-1])
        total, last = 0.0, 0
        for entry in (entry for entry in log if "loss" in entry):
            total += float(entry["loss"]) * (entry["step"] - last)
            last = entry["step"]
        return total / last if last else None
