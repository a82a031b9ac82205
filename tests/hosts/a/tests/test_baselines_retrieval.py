import json

from src.retrieval.retriever import Retriever
from src.utils.config import PATHS

if __name__ == "__main__":
    retriever = Retriever()
    questions = json.load(open(PATHS.testing / "questions_100.json", encoding="utf-8"))["questions"]
    results = [{**q, "retrieved_chunks": retriever.retrieve(q["question"], q["temporal_limit"])} for q in questions]
    with open(PATHS.testing / "answers_baseline_retrieval_semantic_search.json", "w", encoding="utf-8") as out:
        json.dump({"metadata": {"phase": "baseline"}, "results": results, "statistics": {}}, out)
    print(f"{len(results)} questions")
