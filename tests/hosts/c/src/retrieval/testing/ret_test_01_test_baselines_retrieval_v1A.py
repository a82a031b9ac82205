import json

from src.retrieval.retriever import Retriever
from src.config import ROOT

if __name__ == "__main__":
    questions = json.load(open(ROOT / "data" / "testing" / "questions_100.json", encoding="utf-8"))["questions"]
    retriever = Retriever()
    results = [{**question, "retrieved_chunks": retriever.retrieve(question["question"])} for question in questions]
    folder = ROOT / "data" / "testing" / "results"
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "answers_baseline_retrieval.json", "w", encoding="utf-8") as out:
        json.dump({"results": results}, out)
