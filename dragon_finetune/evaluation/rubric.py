"""The host's 1 to 5 rubric of one question."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dragon_finetune.errors import DataError

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
