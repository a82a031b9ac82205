"""What a training run would cost, measured on three of its steps; nothing is trained."""

import random
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil
import torch
from sentence_transformers import SentenceTransformer
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from dragon_finetune.training.blend import BLENDS
from dragon_finetune.training.config import TrainingConfig
from dragon_finetune.training.datasets import Examples
from dragon_finetune.training.fitting import fit
from dragon_finetune.training.halves import half_of
from dragon_finetune.training.precision import pick_precision
from dragon_finetune.training.preparing import Prepared
from dragon_finetune.training.ranks import world_size
from dragon_finetune.training.room import bytes_needed
from dragon_finetune.training.rows import examples
from dragon_finetune.training.validation import embed_texts

_STEPS = 3
_TEXTS = 64  # that are embedded to know how long a look takes


@dataclass(frozen=True)
class TrainingPlan:
    """What is about to happen.

    Attributes:
        audit: the pairs' token audit, as text.
        pairs: numbers of "training" and "validation" pairs.
        dropped: what was left out, by reason.
        steps: optimizer steps of the whole run.
        judging_steps: those of the halves that judge it before.
        seconds_per_step: median of three measured steps.
        judging_seconds: of all looks, by a sample of what each embeds.
        disk_gib: the most that checkpoints and model take on the disk at once.
        peak_gib: memory: the most that the device held, or what this process holds after the steps on a CPU.
    """

    audit: str
    pairs: dict[str, int]
    dropped: dict[str, int]
    steps: int
    judging_steps: int
    seconds_per_step: float
    judging_seconds: float
    peak_gib: float
    disk_gib: float

    @property
    def seconds(self) -> float:
        """Estimated wall time of the steps and looks."""
        return (self.steps + self.judging_steps) * self.seconds_per_step + self.judging_seconds

    def __str__(self) -> str:
        left_out = ", ".join(f"{count} {reason}" for reason, count in self.dropped.items() if count) or "nothing"
        halves = f" and {self.judging_steps} of halves that judge" if self.judging_steps else ""
        return (
            f"{self.audit}\n{self.pairs['training']} pairs to train on, {self.pairs['validation']} to judge by; "
            f"left out: {left_out}\n{self.steps} steps{halves} of {self.seconds_per_step:.2f} s: about "
            f"{self.seconds / 60:.1f} minutes, {self.judging_seconds / 60:.1f} of them judging; memory "
            f"{self.peak_gib:.1f} GiB, disk {self.disk_gib:.2f} GiB. Nothing was trained."
        )


def measure(model: SentenceTransformer, config: TrainingConfig, prepared: Prepared) -> TrainingPlan:
    """Return the plan of a run; `model` is spent by the three steps and must be thrown away."""
    training = prepared.training
    steps = planned_steps(config, examples(training))
    judging_seconds = _judging_seconds(model, config, prepared, steps)
    clock = _Clock()
    few = config.model_copy(update={"max_steps": _STEPS, "report_to": "none", "save_steps": 10**9})
    with tempfile.TemporaryDirectory() as folder:
        fit(model, few, prepared.folder.prompts, Examples.of(training), Path(folder), [clock], None)
    disk = bytes_needed(model, config, steps)
    judging = len(training) if prepared.halves else len(prepared.judges)
    return TrainingPlan(
        audit=str(prepared.audit),
        pairs={"training": len(training), "validation": judging},
        dropped=prepared.dropped,
        steps=steps,
        judging_steps=sum(planned_steps(half_of(config), examples(half)) for half in prepared.halves),
        seconds_per_step=sorted(clock.seconds)[len(clock.seconds) // 2],
        judging_seconds=judging_seconds,
        peak_gib=_peak_gib(model.device),
        disk_gib=disk / 2**30,
    )


def planned_steps(config: TrainingConfig, examples: int) -> int:
    """Return the optimizer steps of a whole run over so many examples."""
    return config.max_steps or max(1, round(config.epochs * -(-examples // _examples_per_step(config))))


def steps_between_looks(config: TrainingConfig, examples: int) -> int:
    """Return the optimizer steps between two looks at the held-back queries."""
    return max(1, examples // _examples_per_step(config) // config.validations_per_epoch)


def _examples_per_step(config: TrainingConfig) -> int:
    return config.batch_size * config.gradient_accumulation_steps * world_size()


def planned_embeddings(config: TrainingConfig, prepared: Prepared, steps: int) -> int:
    """Return how often a run of so many steps embeds the passages that it is judged by."""
    if not (prepared.halves or prepared.judges):
        return 0
    if config.documents == "frozen":
        return len(prepared.halves) or 1
    if prepared.halves:
        return len(prepared.halves) * (1 + len(BLENDS))
    # The base, and the last look is that at the tuned weights.
    return -(-steps // steps_between_looks(config, examples(prepared.training))) + len(BLENDS)


def _judging_seconds(model: SentenceTransformer, config: TrainingConfig, prepared: Prepared, steps: int) -> float:
    times = planned_embeddings(config, prepared, steps)
    if not times:
        return 0.0
    texts = list({text for pair in (*prepared.training, *prepared.judges) for _, text in pair.texts()})
    sample = random.Random(0).sample(texts, min(_TEXTS, len(texts)))
    embed = partial(
        embed_texts, model, prepared.folder.prompts, role="document", precision=pick_precision(config, model.device)
    )
    embed(sample[:2])  # the first call is slower
    started = time.perf_counter()
    embed(sample)
    of_one = (time.perf_counter() - started) / len(sample)
    return times * min(len(texts), config.max_validation_queries + config.max_validation_corpus) * of_one


class _Clock(TrainerCallback):
    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._started = 0.0

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        self._started = time.perf_counter()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        self.seconds.append(time.perf_counter() - self._started)


def _peak_gib(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    memory = psutil.Process().memory_info()
    # Windows keeps the peak itself; elsewhere what is held now is near it, right after the last step.
    return float(getattr(memory, "peak_wset", memory.rss)) / 2**30
