"""Score the answers, 1 to 5 each. Exit code 1 means: the mean is below 3.5, not yet good enough to ship."""

import json
import sys
from typing import Any

from src.utils.config import ANSWERS, SCORES

PASS = 3.5


def evaluate(result: dict[str, Any]) -> dict[str, Any]:
    """Return the evaluation of one answer."""
    chunks = result["retrieved_chunks"]
    everything = " ".join(chunk["text"] for chunk in chunks).lower()
    expected = result["expected_topics"]
    found = [topic for topic in expected if topic.lower() in everything]
    coverage = len(found) / len(expected)
    positives, issues = [f"covers {len(found)} of {len(expected)} topics"], []
    score = 5 if coverage >= 0.8 else 4 if coverage >= 0.6 else 3 if coverage >= 0.4 else 2 if coverage >= 0.2 else 1
    distances = [chunk["distance"] for chunk in chunks]
    if not chunks:
        score = 1
        issues.append("nothing retrieved")
    elif len(chunks) < 3:
        score = max(1, score - 1)
        issues.append("fewer than 3 chunks")
    if sum(distance > 1.0 for distance in distances) > len(distances) / 2:
        score = max(1, score - 1)
        issues.append("most chunks are far")
    if distances and distances[0] > 0.9:
        score = max(1, score - 1)
        issues.append("the nearest chunk is far")
    elif distances and distances[0] < 0.5:
        positives.append("the nearest chunk is near")
    return {
        "retrieval_score": score,
        "topic_coverage": coverage,
        "topics_found": found,
        "topics_expected": expected,
        "positives": positives,
        "issues": issues,
        "num_chunks": len(chunks),
        "avg_distance": sum(distances) / len(distances) if distances else None,
        **{key: result[key] for key in ("question_id", "question", "difficulty", "category", "temporal_limit")},
    }


def group_by(evaluations: list[dict[str, Any]], key: str) -> dict[str, dict[str, float]]:
    """Return the mean score and the count of each group."""
    groups: dict[str, list[int]] = {}
    for evaluation in evaluations:
        groups.setdefault(evaluation[key], []).append(evaluation["retrieval_score"])
    return {name: {"average": sum(scores) / len(scores), "count": len(scores)} for name, scores in groups.items()}


def main() -> int:
    """Write data/testing/baseline_evaluation_detailed.json and print the summary."""
    results = json.loads(ANSWERS.read_text(encoding="utf-8"))["results"]
    evaluations = sorted((evaluate(result) for result in results), key=lambda e: e["retrieval_score"])
    scores = [evaluation["retrieval_score"] for evaluation in evaluations]
    average = sum(scores) / len(scores)
    overall = {
        "average": average,
        "median": scores[len(scores) // 2],
        "min": scores[0],
        "max": scores[-1],
        "total_questions": len(scores),
    }
    statistics = {
        "overall": overall,
        "by_difficulty": group_by(evaluations, "difficulty"),
        "by_category": group_by(evaluations, "category"),
    }
    report = {
        "evaluations": evaluations,
        "statistics": statistics,
        "worst_5": evaluations[:5],
        "best_5": evaluations[::-1][:5],
    }
    SCORES.write_text(json.dumps(report, ensure_ascii=False, indent=2), encoding="utf-8")
    print(f"retrieval score: {average:.2f} of 5 over {len(scores)} questions")
    for groups in (statistics["by_difficulty"], statistics["by_category"]):
        print("  " + ", ".join(f"{name} {group['average']:.2f}" for name, group in groups.items()))
    return 0 if average >= PASS else 1


if __name__ == "__main__":
    sys.exit(main())
