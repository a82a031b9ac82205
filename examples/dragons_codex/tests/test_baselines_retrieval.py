"""Ask all test questions and write what was retrieved."""

import json
from collections import Counter
from datetime import datetime

from src.retrieval.retriever import Retriever
from src.utils.config import ANSWERS, QUESTIONS


def main() -> None:
    """Write data/testing/answers_baseline_retrieval_semantic_search.json."""
    questions = json.loads(QUESTIONS.read_text(encoding="utf-8"))["questions"]
    retriever = Retriever()
    results = [{**q, **retriever.retrieve(q["question"], q.get("temporal_limit"))} for q in questions]
    collections = sorted({name for result in results for name in result["collections_used"]})
    answers = {
        "metadata": {
            "test_date": datetime.now().isoformat(timespec="seconds"),
            "phase": "baseline_retrieval_semantic_search",
            "total_questions": len(results),
            "collections_used": collections,
        },
        "results": results,
        "statistics": {"by_detected_category": Counter(result["detected_category"] for result in results)},
    }
    ANSWERS.write_text(json.dumps(answers, ensure_ascii=False, indent=2), encoding="utf-8")
    print(f"{len(results)} questions asked -> {ANSWERS}")


if __name__ == "__main__":
    main()
