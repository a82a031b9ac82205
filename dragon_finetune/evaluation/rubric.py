"""The host's 1 to 5 rubric, question by question, and the tiers that its mean decides."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dragon_finetune.errors import DataError
from dragon_finetune.evaluation.questions import DIFFICULTIES, load_results

# The rules and numbers below are those of Dragon's Codex, era A (evaluate_retrieval), in its order.
_COVERAGE_STEPS = ((0.8, 5), (0.6, 4), (0.4, 3), (0.2, 2))
_FEW_CHUNKS = 3


@dataclass(frozen=True)
class Thresholds:
    """Distances (squared L2 of unit vectors) above which the rubric takes points; the host's own by default.

    Attributes:
        far: a point is taken when more than half of the chunks are farther than this.
        top_far: a point is taken when the nearest chunk is farther than this.
    """

    far: float = 1.0
    top_far: float = 0.9


HOST_THRESHOLDS = Thresholds()


@dataclass(frozen=True)
class QuestionScore:
    """The rubric of one question.

    Attributes:
        score: 1 to 5, what the host prints.
        coverage_score: 1 to 5, what topic coverage alone gives: the part that does not depend on distances.
        coverage: share of expected topics found, 0 to 1.
        found: the topics found.
        top_distance: distance of the nearest chunk, None without chunks.
    """

    score: int
    coverage_score: int
    coverage: float
    found: tuple[str, ...]
    top_distance: float | None


@dataclass(frozen=True)
class Tier:
    """What a mean rubric score means: its name and what to do."""

    name: str
    at_least: float
    advice: str


TIERS = (
    Tier("excellent", 3.5, "Ship it."),
    Tier("MVP", 3.0, "Good enough to ship; improve in use."),
    Tier("good", 2.5, "Tune the hyper-parameters."),
    Tier("minimal", 2.0, "Proceed: train on more and better pairs."),
    Tier("pivot", 1.0, "Pivot: look at the index, the chunks and the questions before training again."),
)


def score_question(
    question: Mapping[str, Any], chunks: Sequence[Mapping[str, Any]], thresholds: Thresholds = HOST_THRESHOLDS
) -> QuestionScore:
    """Return the score that the host's era A evaluation gives.

    Args:
        question: the question's record; `expected_topics` is read.
        chunks: the retrieved chunks, nearest first, each with `text` and `distance` (squared L2).
        thresholds: others than the host's, as `calibrate` proposes them.

    Raises:
        DataError: the question has no expected topics.
    """
    topics = question["expected_topics"]
    if not topics:
        raise DataError(f"question {question.get('question_id')!r} has no expected_topics; it can't be scored.")
    joined = " ".join(str(chunk["text"]) for chunk in chunks).lower()
    found = tuple(topic for topic in topics if str(topic).lower() in joined)
    coverage = len(found) / len(topics)
    coverage_score = next((score for share, score in _COVERAGE_STEPS if coverage >= share), 1)
    if not chunks:
        return QuestionScore(1, 1, coverage, found, None)
    distances = [float(chunk["distance"]) for chunk in chunks]
    penalties = (
        len(chunks) < _FEW_CHUNKS,
        sum(distance > thresholds.far for distance in distances) > len(chunks) / 2,
        distances[0] > thresholds.top_far,
    )
    return QuestionScore(max(1, coverage_score - sum(penalties)), coverage_score, coverage, found, distances[0])


def tier(mean: float) -> Tier:
    """Return the tier of a mean rubric score (1 to 5).

    Raises:
        DataError: the score is outside 1 to 5.
    """
    if not 1 <= mean <= 5:
        raise DataError(f"a mean rubric score lies between 1 and 5, not {mean!r}.")
    return next(tier for tier in TIERS if mean >= tier.at_least)


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
                + (f"{mark.name}. {mark.advice}" if with_tier else "no tier, for questions were trained on."),
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
