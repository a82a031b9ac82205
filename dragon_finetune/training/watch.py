"""What watches a run: validation a few times an epoch, the best weights kept."""

from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from dragon_finetune.files import read_json, replacing, write_json
from dragon_finetune.training.blend import Weights, snapshot
from dragon_finetune.training.judgement import Judge, Judgement

_COLLAPSED = 0.95  # mean cosine between different passages at which vectors point one way


class ValidationCallback(TrainerCallback):
    """Judges the model every `steps` steps; keeps the best weights and the curve on disk, where a resume finds them.

    Args:
        judge: judges a model on the held-back queries.
        base: what it said of the base.
        work: the run's work folder; `curve.json` and `best.safetensors` go there.
        steps: steps between two looks.
        patience: stop after so many looks without a new best; None: never.

    Attributes:
        trouble: why the run was stopped, if it was.
        best: what was said of the best weights; None where another process, that was killed, took that look.
    """

    def __init__(self, judge: Judge, base: Judgement, work: Path, *, steps: int, patience: int | None) -> None:
        self._judge, self._base, self._work = judge, base, work
        self._steps, self._patience = max(1, steps), patience
        self.trouble: str | None = None
        self.best: Judgement | None = None
        self.curve: dict[int, float] = {}
        if self._curve_file.is_file():
            self.curve = {int(step): score for step, score in read_json(self._curve_file).items()}

    @property
    def _curve_file(self) -> Path:
        return self._work / "curve.json"

    @property
    def best_step(self) -> int | None:
        """The step of the best score so far; of equals the first."""
        return max(self.curve, key=lambda step: (self.curve[step], -step), default=None)

    def best_weights(self) -> Weights | None:
        """Return the weights of the best step, if there was a look."""
        file = self._work / "best.safetensors"
        return load_file(file) if file.is_file() else None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Forget looks that lie beyond the checkpoint from which the run goes on: they will be taken again."""
        self.curve = {step: score for step, score in self.curve.items() if step <= state.global_step}

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: SentenceTransformer | None = None,
        **kwargs: Any,
    ) -> None:
        """Judge the model when it is time to."""
        due = state.global_step % self._steps == 0 or state.global_step == state.max_steps
        if not due or model is None:
            return
        # Every process judges, on the same weights, so that all of them stop at the same step; one writes.
        plain = getattr(model, "module", model)
        judgement = self._judge(plain)
        self.curve[state.global_step] = judgement.mean
        if state.is_world_process_zero:
            write_json(self._curve_file, self.curve)
        if self.best_step == state.global_step:
            self.best = judgement
            if state.is_world_process_zero:
                with replacing(self._work / "best.safetensors") as draft:
                    save_file({name: tensor.contiguous() for name, tensor in snapshot(plain).items()}, draft)
        if judgement.spread > max(_COLLAPSED, self._base.spread + 0.1):
            self.trouble = (
                f"collapse at step {state.global_step}: passages have a mean cosine of {judgement.spread:.3f} to each "
                "other. Lower the learning rate, or give larger batches"
            )
            control.should_training_stop = True
        late = [step for step in self.curve if step > (self.best_step or 0)]
        if self._patience is not None and len(late) >= self._patience:
            control.should_training_stop = True
