import json
import re

from src.config import ROOT

if __name__ == "__main__":
    folder = ROOT / "data" / "testing" / "results"
    results = json.load(open(folder / "answers_baseline_retrieval.json", encoding="utf-8"))["results"]
    shares = []
    for question in results:
        wanted = set(re.findall(r"\b[\w'-]+\b", " ".join(question["expected_topics"]).lower()))
        text = " ".join(chunk["text"] for chunk in question["retrieved_chunks"]).lower()
        shares.append(len(wanted & set(re.findall(r"\b[\w'-]+\b", text))) / len(wanted))
    with open(folder / "out_scores_baseline.json", "w", encoding="utf-8") as out:
        json.dump({"coverage": shares}, out)
    print(f"quality: {sum(shares) / len(shares):.3f}")
