"""Which pairs are worth training on: each source of `build_pairs` alone, mixes, and the mix of all with hard negatives.

    pip install "dragon-finetune[demo]"
    python examples/benchmarks/bench_pairs.py codex
    python examples/benchmarks/bench_pairs.py oz path/to/oz_chapters.jsonl

Every row trains MiniLM on at most --pairs pairs (drawn by the seed; a fifth is held back) with the trainer's
never-worse blend. nDCG and recall are over judged queries, which the builder sees only to avoid them: of the codex
the queries of its 613 hand-written pairs, each with the chunk that answers it; of Oz questions that each have a few
words of the passage that answers them: 107 that were looked at again and again while the method was chosen
(data/oz_judged.json), and others, written by language models that read the novels and saw neither method nor results,
which have a line of their own, "unseen" (data/oz_unseen.json). Rubric and coverage are over the questions with expected
topics (100 of the codex, 48 of Oz). Intervals are paired bootstraps over questions of the mean of the seeds.
"""

import argparse
import json
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dragon_finetune import FineTunedEmbedder, FineTuner, TokenChunker, TrainingConfig
from dragon_finetune.chunks import read_chunks
from dragon_finetune.evaluation.metrics import rank
from dragon_finetune.evaluation.questions import load_questions
from dragon_finetune.evaluation.relevance import Relevance, rank_results
from dragon_finetune.evaluation.retrieval import retrieve
from dragon_finetune.evaluation.rubric import score_question
from dragon_finetune.evaluation.statistics import paired_test
from dragon_finetune.files import write_jsonl
from dragon_finetune.pair import Pair, read_pairs
from dragon_finetune.pairs.building import PairsRequest, build_pairs
from dragon_finetune.pairs.corpus import read_corpus
from dragon_finetune.pairs.searcher import Searcher
from dragon_finetune.pairs.sources import HYBRID, SOURCES

CODEX = Path(__file__).parents[1] / "dragons_codex" / "data"
SEEDS = (1, 2, 3)
CHUNK = "positive_chunk_id"
STRAIGHT = str.maketrans("’‘“”", "''\"\"", "\u2060")
MEASURES = ("nDCG@10", "recall@10", "rubric", "coverage")


class Judge:
    """Scores a model: per judged query nDCG@10 and recall@10, per question with topics rubric and coverage."""

    def __init__(self, files: list[Path], judged: list[dict[str, Any]], questions: Path, vectors: Path) -> None:
        self._files, self._vectors = files, vectors
        self._judged, self._questions = judged, load_questions(questions)
        self._relevance = Relevance(list(read_chunks(files)))
        self.unseen = [place for place, query in enumerate(judged) if query.get("unseen")]

    def __call__(self, model: str | Path) -> list[np.ndarray]:
        embedder = FineTunedEmbedder(model, on_overflow="split", engine="torch")
        found = rank_results(self._results(embedder, self._judged), self._relevance)
        ranked = [ranking for ranking in found.values() if ranking]
        assert len(ranked) == len(self._judged)
        results = self._results(embedder, self._questions)
        scores = [score_question(result, result["retrieved_chunks"]) for result in results]
        return [
            np.array([ranking.ndcg for ranking in ranked]),
            np.array([ranking.recall[10] for ranking in ranked]),
            np.array([score.score for score in scores], dtype=float),
            np.array([score.coverage_score for score in scores], dtype=float),
        ]

    def teacher(self) -> float:
        """Return nDCG@10 of BM25 and the base together on the judged queries: what the source "hybrid" learns from."""
        chunks = list(read_chunks(self._files))
        corpus = read_corpus((chunk.id, {"text": chunk.text}) for chunk in chunks)
        search = Searcher(corpus, FineTunedEmbedder("embedded", on_overflow="split", engine="torch"))
        found = []
        for question, cosines in zip(
            self._judged, search.cosines([each["question"] for each in self._judged]), strict=True
        ):
            order = np.argsort(-search.fused(question["question"], cosines), kind="stable")[:10]
            ranking = rank([self._relevance.place(chunks[at].text) for at in order], self._relevance.of(question))
            found += [ranking.ndcg] if ranking else []
        return float(np.mean(found))

    def _results(self, embedder: FineTunedEmbedder, asked: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return retrieve(embedder, self._files, asked, vectors=self._vectors)


def judged_of_codex() -> list[dict[str, Any]]:
    return [
        {"question_id": f"pair {number}", "question": pair.query, "relevant_chunk_ids": [pair.metadata[CHUNK]]}
        for number, pair in enumerate(read_pairs(CODEX / "training" / "pairs.jsonl"))
    ]


def judged_of_oz(file: Path) -> list[dict[str, Any]]:
    """Return the questions with the chunks that hold the words of their evidence."""
    chunks = [(chunk.id, straight(chunk.text)) for chunk in read_chunks([file])]
    asked = []
    for name in ("judged", "unseen"):
        data = json.loads((Path(__file__).parent / "data" / f"oz_{name}.json").read_text(encoding="utf-8"))
        for question in data["questions"]:
            holding = [id for id, text in chunks if any(words in text for words in question["evidence"])]
            more = {"question_id": f"{name} {question['question_id']}", "unseen": name == "unseen"}
            # Where a chunk's edge cuts the evidence in two nothing can be judged.
            asked += [{**question, **more, "relevant_chunk_ids": holding}] if holding else []
    return asked


def straight(text: str) -> str:
    return " ".join(text.translate(STRAIGHT).split())


def train(pairs: list[Pair], seed: int, out: Path, epochs: float, temperature: float) -> Path:
    config = TrainingConfig(
        base_model="embedded",
        output_dir=out,
        epochs=epochs,
        learning_rate=5e-5,
        batch_size=16,
        temperature=temperature,
        seed=seed,
        validation_share=0.2,
        max_validation_corpus=150,
        validations_per_epoch=1,
        save_steps=10_000,
        device="cpu",
    )
    result = FineTuner(config).train(pairs)
    print(f"    seed {seed}: {len(pairs)} pairs, kept {result.kept}", flush=True)
    return out


def report(name: str, scores: Sequence[list[np.ndarray]], base: list[np.ndarray], unseen: list[int]) -> None:
    means = [np.mean([score[column] for score in scores], axis=0) for column in range(len(base))]
    spread = np.std([score[0].mean() for score in scores])
    print(f"{name:<14} {' | '.join(map(cell, base, means))} | sd {spread:.4f}", flush=True)
    if unseen:
        print(f"{'  unseen':<14} {' | '.join(cell(base[n][unseen], means[n][unseen]) for n in (0, 1))}", flush=True)


def cell(before: np.ndarray, after: np.ndarray) -> str:
    test = paired_test(before, after)
    return f"{after.mean():.4f} {test.difference:+.4f} [{test.low:+.4f}, {test.high:+.4f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", choices=("codex", "oz"))
    parser.add_argument("chapters", type=Path, nargs="?")
    parser.add_argument("--pairs", type=int, default=600)
    parser.add_argument("--rows", nargs="+", help="sources joined by commas, or everything[+negatives]")
    parser.add_argument("--epochs", type=float, default=TrainingConfig.model_fields["epochs"].default)
    parser.add_argument("--temperature", type=float, default=0.05)
    options = parser.parse_args()
    rows = options.rows or [*SOURCES, HYBRID, f"{HYBRID},keywords", "everything", "everything+negatives"]
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        if options.corpus == "oz":
            lines = options.chapters.read_text(encoding="utf-8").splitlines()
            files = [work / "oz_chunks.jsonl"]
            write_jsonl(files[0], TokenChunker("embedded", max_tokens=128).chunk_records(map(json.loads, lines)))
            questions = Path(__file__).parent / "data" / "oz_questions.json"
            judged = judged_of_oz(files[0])
        else:
            files = sorted((CODEX / "chunks").glob("*.jsonl"))
            questions = CODEX / "testing" / "questions_100.json"
            judged = judged_of_codex()
        avoid = work / "avoid.json"
        topics = {"category": "-", "difficulty": "easy", "expected_topics": ["(judged by passage)"]}
        asked = json.dumps({"questions": [*load_questions(questions), *({**topics, **q} for q in judged)]})
        avoid.write_text(asked, encoding="utf-8")
        judge = Judge(files, judged, questions, work / "vectors")
        base = judge("embedded")
        counts = f"{len(base[0])} judged queries, {len(base[2])} questions with topics"
        print(f"{options.corpus}: {counts}, at most {options.pairs} pairs, {options.epochs:g} epochs, seeds {SEEDS}")
        print("each: mean, difference to the base [95% interval]: " + " | ".join(MEASURES))
        print(f"nDCG@10 of BM25 and the base together, on the judged queries: {judge.teacher():.4f}")
        report("base", [base], base, judge.unseen)
        for name in rows:
            sources = (*SOURCES, HYBRID) if name.startswith("everything") else tuple(name.split(","))
            scores = []
            for seed in SEEDS:
                request = PairsRequest(
                    files,
                    avoid=avoid,
                    model="embedded",
                    per_chunk=4,
                    seed=seed,
                    sources=sources,
                    negatives=1 if name.endswith("negatives") else 0,
                )
                try:
                    pairs = build_pairs(request).pairs
                except Exception as error:
                    print(f"{name:<14} no pairs: {str(error).splitlines()[0]}")
                    break
                chosen = random.Random(seed).sample(pairs, min(options.pairs, len(pairs)))
                scores.append(judge(train(chosen, seed, work / f"{name}-{seed}", options.epochs, options.temperature)))
            if scores:
                report(name, scores, base, judge.unseen)


if __name__ == "__main__":
    main()
