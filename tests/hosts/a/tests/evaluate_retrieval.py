import json
import sys

from src.utils.config import PATHS


def score(question):
    chunks = question["retrieved_chunks"]
    text = " ".join(chunk["text"] for chunk in chunks).lower()
    topics = question["expected_topics"]
    coverage = sum(topic.lower() in text for topic in topics) / len(topics)
    value = 5 if coverage >= 0.8 else 4 if coverage >= 0.6 else 3 if coverage >= 0.4 else 2 if coverage >= 0.2 else 1
    if not chunks:
        return 1
    if len(chunks) < 3:
        value = max(1, value - 1)
    if sum(chunk["distance"] > 1.0 for chunk in chunks) > len(chunks) / 2:
        value = max(1, value - 1)
    if chunks[0]["distance"] > 0.9:
        value = max(1, value - 1)
    return value


if __name__ == "__main__":
    results = json.load(open(PATHS.testing / "answers_baseline_retrieval_semantic_search.json"))["results"]
    scores = [score(question) for question in results]
    mean = sum(scores) / len(scores)
    print(f"overall: {mean:.2f}")
    with open(PATHS.testing / "baseline_evaluation_detailed.json", "w", encoding="utf-8") as out:
        json.dump({"evaluations": scores, "statistics": {"overall": {"average": mean}}}, out)
    sys.exit(0 if mean >= 3.5 else 1)
