"""Which pairs are worth training on: each source of `build_pairs` alone, the mix, the mix with hard negatives.

    pip install "dragon-finetune[demo]"
    python examples/benchmarks/bench_pairs.py codex
    python examples/benchmarks/bench_pairs.py oz path/to/oz_chapters.jsonl

Every row trains MiniLM on at most --pairs pairs (drawn by the seed), with the trainer's never-worse blend, and asks
questions that the builder sees only to avoid them (100 of the codex, 48 of Oz). Relevant are the chunks with at least
half of a question's topics. Intervals are paired bootstraps over questions of the mean of the seeds.
"""

import argparse
import json
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dragon_finetune import FineTunedEmbedder, FineTuner, TokenChunker, TrainingConfig
from dragon_finetune.embedding.bulk import read_chunks
from dragon_finetune.evaluation.metrics import Relevance, rank_results
from dragon_finetune.evaluation.questions import load_questions
from dragon_finetune.evaluation.retrieval import retrieve
from dragon_finetune.evaluation.rubric import score_question
from dragon_finetune.evaluation.statistics import paired_test
from dragon_finetune.records import Pair, write_jsonl
from dragon_finetune.training.building import PairsRequest, build
from dragon_finetune.training.synthesis import DEFAULT_SOURCES, SOURCES

CODEX = Path(__file__).parents[1] / "dragons_codex" / "data"
SEEDS = (1, 2, 3)
MEASURES = ("nDCG@10", "recall@10", "rubric", "coverage")


class Judge:
    """Scores a model on the questions: one row per question, the columns as MEASURES."""

    def __init__(self, files: list[Path], questions: Path, vectors: Path) -> None:
        self._files, self._vectors = files, vectors
        self.questions = load_questions(questions)
        self._relevance = Relevance(list(read_chunks(files)))

    def __call__(self, model: str | Path) -> np.ndarray:
        embedder = FineTunedEmbedder(model, on_overflow="split", engine="torch")
        results = retrieve(embedder, self._files, self.questions, vectors=self._vectors)
        rows = []
        for result, ranking in zip(results, rank_results(results, self._relevance).values(), strict=True):
            score = score_question(result, result["retrieved_chunks"])
            found = (ranking.ndcg, ranking.recall[10]) if ranking else (np.nan, np.nan)
            rows.append([*found, score.score, score.coverage_score])
        return np.array(rows)


def train(pairs: list[Pair], seed: int, out: Path, temperature: float) -> Path:
    config = TrainingConfig(
        base_model="embedded",
        output_dir=out,
        learning_rate=5e-5,
        batch_size=32,
        temperature=temperature,
        seed=seed,
        max_validation_queries=100,
        max_validation_corpus=200,
        validations_per_epoch=1,
        save_steps=10_000,
        device="cpu",
    )
    result = FineTuner(config).train(pairs)
    print(f"    seed {seed}: {len(pairs)} pairs, kept {result.kept}", flush=True)
    return out


def report(name: str, scores: Sequence[np.ndarray], base: np.ndarray) -> None:
    mean = np.mean(scores, axis=0)
    cells = []
    for column in range(len(MEASURES)):
        known = ~np.isnan(base[:, column])
        test = paired_test(base[known, column], mean[known, column])
        cells.append(f"{mean[known, column].mean():.4f} {test.difference:+.4f} [{test.low:+.4f}, {test.high:+.4f}]")
    spread = np.std([np.nanmean(score[:, 0]) for score in scores])
    print(f"{name:<14} " + " | ".join(cells) + f" | sd {spread:.4f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", choices=("codex", "oz"))
    parser.add_argument("chapters", type=Path, nargs="?")
    parser.add_argument("--pairs", type=int, default=400)
    parser.add_argument("--rows", nargs="+", help="default: every source, the mix, the mix with hard negatives")
    parser.add_argument("--temperature", type=float, default=0.05)
    options = parser.parse_args()
    rows = options.rows or [*SOURCES, "mix", "mix+negatives"]
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        if options.corpus == "oz":
            lines = options.chapters.read_text(encoding="utf-8").splitlines()
            files = [work / "oz_chunks.jsonl"]
            write_jsonl(files[0], TokenChunker("embedded").chunk_records(map(json.loads, lines)))
            questions = Path(__file__).parent / "data" / "oz_questions.json"
        else:
            files = sorted((CODEX / "chunks").glob("*.jsonl"))
            questions = CODEX / "testing" / "questions_100.json"
        judge = Judge(files, questions, work / "vectors")
        base = judge("embedded")
        print(f"{options.corpus}: {len(base)} questions, at most {options.pairs} pairs, seeds {SEEDS}")
        print("each: mean, difference to the base [95% interval]: " + " | ".join(MEASURES))
        report("base", [base], base)
        for name in rows:
            sources = tuple(name.split("+negatives")[0].split(",")) if not name.startswith("mix") else DEFAULT_SOURCES
            scores = []
            for seed in SEEDS:
                request = PairsRequest(
                    files,
                    avoid=questions,
                    model="embedded",
                    per_chunk=2,
                    seed=seed,
                    sources=sources,
                    negatives=1 if name.endswith("negatives") else 0,
                )
                try:
                    pairs = build(request).pairs
                except Exception as error:
                    print(f"{name:<14} no pairs: {str(error).splitlines()[0]}")
                    break
                chosen = random.Random(seed).sample(pairs, min(options.pairs, len(pairs)))
                scores.append(judge(train(chosen, seed, work / f"{name}-{seed}", options.temperature)))
            if scores:
                report(name, scores, base)


if __name__ == "__main__":
    main()
