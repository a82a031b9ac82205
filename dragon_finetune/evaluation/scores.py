"""The rubric of a whole retrieval run: its mean, and by difficulty and category."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dragon_finetune.evaluation.questions import DIFFICULTIES, load_results
from dragon_finetune.evaluation.rubric import QuestionScore, score_question
from dragon_finetune.evaluation.tiers import tier


@dataclass(frozen=True)
class Evaluation:
    """All scores of one retrieval run. `scores` keeps the order of the file, by question id."""

    scores: dict[Any, QuestionScore]
    questions: dict[Any, Mapping[str, Any]]

    @property
    def mean(self) -> float:
        """Mean rubric score, 1 to 5."""
        return _mean([score.score for score in self.scores.values()])

    @property
    def coverage_only(self) -> float:
        """Mean score if distances took nothing: comparable between models, whose distances are not."""
        return _mean([score.coverage_score for score in self.scores.values()])

    @property
    def median(self) -> int:
        """Upper median, as the host computes it."""
        return sorted(score.score for score in self.scores.values())[len(self.scores) // 2]

    def by(self, key: str) -> dict[str, tuple[float, int]]:
        """Return group -> (mean score, number of questions) for `key` = "difficulty" or "category"."""
        groups: dict[str, list[int]] = {}
        for identity, score in self.scores.items():
            groups.setdefault(str(self.questions[identity][key]), []).append(score.score)
        order = sorted(groups, key=lambda name: (DIFFICULTIES.index(name) if name in DIFFICULTIES else 9, name))
        return {name: (_mean(groups[name]), len(groups[name])) for name in order}

    def to_dict(self) -> dict[str, Any]:
        """Return the evaluation as plain JSON-safe values."""
        return {
            "mean": self.mean,
            "coverage_only": self.coverage_only,
            "median": self.median,
            "questions": len(self.scores),
            "tier": tier(self.mean).name,
            "by_difficulty": {name: {"mean": mean, "count": n} for name, (mean, n) in self.by("difficulty").items()},
            "by_category": {name: {"mean": mean, "count": n} for name, (mean, n) in self.by("category").items()},
        }

    def __str__(self) -> str:
        return self.describe()

    def describe(self, *, with_tier: bool = True) -> str:
        """Return the scores as text; without the tier where questions leaked."""
        mark = tier(self.mean)
        groups = [
            f"  {name:<16} {mean:.2f}  ({n})"
            for key in ("difficulty", "category")
            for name, (mean, n) in self.by(key).items()
        ]
        return "\n".join(
            [
                f"score {self.mean:.2f} of 5 over {len(self.scores)} questions: "
                + (f"{mark.words}. {mark.advice}" if with_tier else "no tier, for questions were trained on."),
                f"  coverage only    {self.coverage_only:.2f}  (distances took {self.coverage_only - self.mean:.2f})",
                f"  median           {self.median}",
                *groups,
            ]
        )


def evaluate_results(source: Path | str | Sequence[Mapping[str, Any]]) -> Evaluation:
    """Return the rubric of retrieval results: a host's answers file, or what `retrieve` returned.

    Raises:
        DataError: as `load_results`.
    """
    results = load_results(source) if isinstance(source, (str, Path)) else source
    return Evaluation(
        scores={result["question_id"]: score_question(result, result["retrieved_chunks"]) for result in results},
        questions={result["question_id"]: result for result in results},
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
