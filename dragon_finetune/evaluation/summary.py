"""What one run's scores amount to."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dragon_finetune.evaluation.distances import all_distances, quantiles
from dragon_finetune.evaluation.leaks import LeakReport
from dragon_finetune.evaluation.metrics import mean_metrics
from dragon_finetune.evaluation.quality import QualityScore, score_quality
from dragon_finetune.evaluation.runs import Run
from dragon_finetune.evaluation.scores import Evaluation

BASELINE = 1.40
"""The mean score that Dragon's Codex had before (HOST_CONTRACT 8): the level of random vectors."""


@dataclass(frozen=True)
class Summary:
    """One run's scores.

    Attributes:
        evaluation: the rubric.
        metrics: mean ranking metrics over questions with a relevant chunk; {} if the corpus is unknown.
        unanswerable: ids of the questions without one.
        distances: quantiles of all retrieved chunks' distances.
        leaks: what was trained on; None if nobody looked.
        quality: the newer host's scores by question id, where asked for.
    """

    evaluation: Evaluation
    metrics: dict[str, float]
    unanswerable: list[Any]
    distances: dict[str, float]
    leaks: LeakReport | None
    quality: Mapping[Any, QualityScore]

    @property
    def over_baseline(self) -> float:
        """Percent that the mean lies above the codex's first baseline, 1.40."""
        return 100 * (self.evaluation.mean / BASELINE - 1)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON-safe values; the tier is null if questions leaked."""
        values = self.evaluation.to_dict() | {"percent_over_baseline": self.over_baseline}
        if self.leaks:
            values["tier"] = None
        if self.quality:
            values["quality"] = {"mean": self._quality, "questions": [
                {"question_id": identity, **asdict(score)} for identity, score in self.quality.items()
            ]}  # fmt: skip
        return {
            **values,
            "metrics": self.metrics,
            "unanswerable": self.unanswerable,
            "distances": self.distances,
            "leaks": self.leaks.to_dict() if self.leaks is not None else None,
        }

    @property
    def _quality(self) -> float:
        return float(np.mean([score.quality for score in self.quality.values()]))

    def __str__(self) -> str:
        lines = [self.evaluation.describe(with_tier=not self.leaks)]
        lines.append(f"  over the first baseline of {BASELINE:.2f}: {self.over_baseline:+.0f}%")
        lines += [f"  {name:<16} {value:.4f}" for name, value in self.metrics.items()]
        if self.unanswerable:
            lines.append(f"  no chunk is relevant to {len(self.unanswerable)} questions: {self.unanswerable}")
        lines.append("  distances        " + ", ".join(f"{share} {d:.3f}" for share, d in self.distances.items()))
        if self.quality:
            flagged = [identity for identity, score in self.quality.items() if score.flagged]
            spoilers = sum(score.spoiler for score in self.quality.values())
            lines.append(
                f"  era B quality    {self._quality:.2f} of 5; {len(flagged)} of {len(self.quality)} flagged, "
                f"{spoilers} spoilers"
            )
        lines += [str(self.leaks)] if self.leaks is not None else []
        return "\n".join(lines)


def summarise(run: Run, leaks: LeakReport | None = None, *, era: str = "a") -> Summary:
    """Return the summary of a run. `era` "b" adds the newer host's scores."""
    rankings = run.rankings or {}
    quality = {
        result["question_id"]: score_quality(result, result["retrieved_chunks"]) for result in run.results
    } if era == "b" else {}  # fmt: skip
    return Summary(
        evaluation=run.evaluation,
        metrics=mean_metrics([ranking for ranking in rankings.values() if ranking is not None]),
        unanswerable=[identity for identity, ranking in rankings.items() if ranking is None],
        distances=quantiles(all_distances(run.evaluation)),
        leaks=leaks,
        quality=quality,
    )
