"""Time from stored vectors to the report: 100 questions over 25,000 chunks of 768 dimensions, two models compared.

    python examples/benchmarks/bench_evaluation.py

The vectors are random (what they say costs no time), the texts are words drawn from a vocabulary. The alternative for
the statistics alone is scipy's bootstrap and permutation test on the same differences.
"""

import argparse
import random
import tempfile
import time
from pathlib import Path

import numpy as np
from scipy import stats

from dragon_finetune.chunks import read_chunks
from dragon_finetune.embedding.fingerprint import vector_key
from dragon_finetune.evaluation.calibration import calibrate
from dragon_finetune.evaluation.comparing import compare
from dragon_finetune.evaluation.relevance import Relevance, rank_results
from dragon_finetune.evaluation.report import Attachments, write_html
from dragon_finetune.evaluation.retrieval import retrieve
from dragon_finetune.evaluation.scores import evaluate_results
from dragon_finetune.files import write_jsonl
from dragon_finetune.index.shards import VectorStore

TOPICS = [f"topic{n}" for n in range(200)]


class RandomEmbedder:
    """Gives random unit vectors for questions; those of the chunks lie in the store already."""

    def __init__(self, name: str, dimension: int) -> None:
        self.fingerprint, self._dimension = name, dimension

    def encode(self, texts: list[str], role: str) -> np.ndarray:
        return unit(np.random.default_rng(len(self.fingerprint)), len(texts), self._dimension)

    def recognises(self, mark: str) -> bool:
        return mark == self.fingerprint

    def vector_keys(self, texts: list[str]) -> list[bytes]:
        return [vector_key(text) for text in texts]


def unit(rng: np.random.Generator, count: int, dimension: int) -> np.ndarray:
    vectors = rng.normal(size=(count, dimension)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chunks", type=int, default=25_000)
    parser.add_argument("--dimension", type=int, default=768)
    options = parser.parse_args()
    dice = random.Random(1)
    words = [f"word{n}" for n in range(5000)] + TOPICS
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "chunks.jsonl"
        write_jsonl(file, ({"text": " ".join(dice.choices(words, k=90))} for _ in range(options.chunks)))
        embedders = [RandomEmbedder(name, options.dimension) for name in ("base", "tuned!")]
        for embedder in embedders:
            store = VectorStore(folder, embedder)
            keys = embedder.vector_keys([chunk.text for chunk in read_chunks([file])])
            store.add(keys, unit(np.random.default_rng(len(embedder.fingerprint) + 9), len(keys), options.dimension))
        questions = [
            {
                "question_id": n,
                "question": f"What of {n}?",
                "category": "concept",
                "difficulty": ("easy", "medium", "hard")[n % 3],
                "temporal_limit": None,
                "expected_topics": dice.sample(TOPICS, 4),
            }
            for n in range(100)
        ]
        marks = [time.perf_counter()]
        results = [retrieve(embedder, [file], questions, vectors=folder) for embedder in embedders]
        marks.append(time.perf_counter())
        relevance = Relevance(list(read_chunks([file])))
        rankings = [rank_results(each, relevance) for each in results]
        marks.append(time.perf_counter())
        base, tuned = map(evaluate_results, results)
        comparison = compare(base, tuned, rankings=(rankings[0], rankings[1]))
        marks.append(time.perf_counter())
        write_html(Path(folder) / "report.html", comparison, base, tuned, Attachments(calibrate(base, tuned)))
        marks.append(time.perf_counter())
        for name, start, end in zip(("retrieval", "metrics", "statistics", "report"), marks, marks[1:], strict=False):
            print(f"{name:<12} {end - start:6.2f} s")
        print(f"{'in all':<12} {marks[-1] - marks[0]:6.2f} s")
        tests = 3 + sum(map(len, comparison.groups.values())) + len(comparison.metrics)
        change = np.array([tuned.scores[n].score - base.scores[n].score for n in range(100)], dtype=float)
        started = time.perf_counter()
        stats.bootstrap((change,), np.mean, n_resamples=10_000, method="percentile")
        stats.permutation_test((change,), np.mean, permutation_type="samples", n_resamples=10_000)
        theirs = time.perf_counter() - started
        print(f"statistics: {tests} tests at {(marks[3] - marks[2]) / tests:.3f} s; scipy {theirs:.3f} s for one")


if __name__ == "__main__":
    main()
