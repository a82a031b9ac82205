"""What one run's scores amount to."""

from dataclasses import dataclass
from typing import Any

from dragon_finetune.errors import SettingsError
from dragon_finetune.evaluation.distances import all_distances, quantiles
from dragon_finetune.evaluation.leaks import LeakReport
from dragon_finetune.evaluation.metrics import mean_metrics
from dragon_finetune.evaluation.runs import Run
from dragon_finetune.evaluation.scores import Evaluation


@dataclass(frozen=True)
class Summary:
    """One run's scores.

    Attributes:
        evaluation: the scores, by the rules of their era.
        metrics: mean ranking metrics over questions with a relevant chunk; {} if the corpus is unknown.
        unanswerable: ids of the questions without one.
        distances: quantiles of all retrieved chunks' distances.
        leaks: what was trained on; None if nobody looked.
        baseline: a mean score to compare with, where somebody gave one.
    """

    evaluation: Evaluation
    metrics: dict[str, float]
    unanswerable: list[Any]
    distances: dict[str, float]
    leaks: LeakReport | None
    baseline: float | None = None

    @property
    def over_baseline(self) -> float | None:
        """Percent that the mean lies above the baseline; None without one."""
        return None if self.baseline is None else 100 * (self.evaluation.mean / self.baseline - 1)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON-safe values; the tier is null if questions leaked."""
        values = self.evaluation.to_dict()
        if self.leaks:
            values["tier"] = None
        if self.baseline is not None:
            values |= {"baseline": self.baseline, "percent_over_baseline": self.over_baseline}
        return {
            **values,
            "metrics": self.metrics,
            "unanswerable": self.unanswerable,
            "distances": self.distances,
            "leaks": self.leaks.to_dict() if self.leaks is not None else None,
        }

    def __str__(self) -> str:
        lines = [self.evaluation.describe(with_tier=not self.leaks)]
        if self.baseline is not None:
            lines.append(f"  over the baseline of {self.baseline:.2f}: {self.over_baseline:+.0f}%")
        lines += [f"  {name:<16} {value:.4f}" for name, value in self.metrics.items()]
        if self.unanswerable:
            lines.append(f"  no chunk is relevant to {len(self.unanswerable)} questions: {self.unanswerable}")
        if self.distances:
            lines.append("  distances        " + ", ".join(f"{share} {d:.3f}" for share, d in self.distances.items()))
        lines += [str(self.leaks)] if self.leaks is not None else []
        return "\n".join(lines)


def summarise(run: Run, leaks: LeakReport | None = None, *, baseline: float | None = None) -> Summary:
    """Return the summary of a run.

    Args:
        run: the run.
        leaks: what `look_for_leaks` found.
        baseline: a mean score from before, to compare with.

    Raises:
        SettingsError: the baseline is no number above 0.
    """
    if baseline is not None and not 0 < baseline < float("inf"):
        raise SettingsError(f"the baseline is {baseline}; it must be a number above 0.")
    rankings = run.rankings or {}
    return Summary(
        evaluation=run.evaluation,
        metrics=mean_metrics([ranking for ranking in rankings.values() if ranking is not None]),
        unanswerable=[identity for identity, ranking in rankings.items() if ranking is None],
        distances=quantiles(all_distances(run.evaluation)),
        leaks=leaks,
        baseline=baseline,
    )
