"""What a search found: its trials, the best first, and which settings mattered."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dragon_finetune.search.space import PARAMETERS

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True)
class Trial:
    """One finished, stopped or failed trial."""

    number: int
    settings: dict[str, float]
    state: str
    score: float | None
    steps: int
    seconds: float
    curve: dict[int, float]
    folder: Path
    trouble: str = ""


@dataclass(frozen=True)
class SearchResult:
    """What a search found.

    Attributes:
        trials: all, the best first.
        importance: share of the scores' variance that each parameter explains (fANOVA); {} of too few trials.
        best: folder of the best trial's model, ready for `embedder: finetuned`; None if no trial finished.
        base_score: held-back nDCG@10 of the base.
    """

    trials: list[Trial]
    importance: dict[str, float]
    best: Path | None
    base_score: float | None

    @property
    def steps(self) -> int:
        """Training steps of all trials together."""
        return sum(trial.steps for trial in self.trials)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON-safe values."""
        trials = [{**vars(trial), "folder": str(trial.folder)} for trial in self.trials]
        best = str(self.best) if self.best else None
        return {
            "configurations": len(self.trials),
            "best": best,
            "base": self.base_score,
            "steps": self.steps,
            "importance": self.importance,
            "trials": trials,
        }

    def __str__(self) -> str:
        head = "  ".join(f"{name:>13}" for name in PARAMETERS)
        rows = [
            "  ".join(f"{trial.settings[name]:>13g}" for name in PARAMETERS)
            + f"  {'-' if trial.score is None else format(trial.score, '.4f'):>8}  {trial.steps:>6}  {trial.state}"
            + (f" ({trial.trouble})" if trial.trouble else "")
            for trial in self.trials
        ]
        important = ", ".join(f"{name} {share:.2f}" for name, share in self.importance.items()) or "too few trials"
        base = f"{self.base_score:.4f}" if self.base_score is not None else "-"
        return "\n".join(
            [
                f"{head}  {'nDCG@10':>8}  {'steps':>6}",
                *rows,
                f"{len(self.trials)} configurations tried, {self.steps} steps; base {base}; importance: {important}",
                f"best: {self.best}",
            ]
        )


def importance_of(study: "optuna.Study") -> dict[str, float]:
    """Return the share of the scores' variance that each parameter explains; {} of too few trials."""
    import optuna

    evaluate: Callable[..., dict[str, float]] = optuna.importance.get_param_importances
    done = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
    if len(done) < 4 or len({trial.value for trial in done}) < 2:
        return {}
    seeded = optuna.importance.FanovaImportanceEvaluator(seed=0)
    return {name: float(share) for name, share in evaluate(study, evaluator=seeded).items()}
