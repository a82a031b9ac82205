"""What training gains: base, plain recipe and ours, three seeds, on the example codex and on the Oz novels.

    pip install "dragon-finetune[demo]"
    python examples/benchmarks/bench_gain.py codex
    python examples/benchmarks/bench_gain.py oz path/to/oz_chapters.jsonl

The codex has its own pairs; those of Oz are a sentence of each chunk as the query and the chunk without it as the
passage. A fifth of the pairs is held back per seed. Both recipes see the same pairs for the same epochs with the
settings of `bench_training.py`. The questions (100 of the codex, 48 of Oz in data/oz_questions.json) were never trained
on; intervals are paired bootstraps of tuned minus base over questions, the mean of the seeds' scores per question.
"""

import argparse
import json
import re
import statistics
import tempfile
from pathlib import Path

import numpy as np
from bench_training import plain

from dragon_finetune import FineTunedEmbedder, FineTuner, TokenChunker, TrainingConfig, score_question
from dragon_finetune.embedding.model import load_model
from dragon_finetune.evaluation.questions import load_questions
from dragon_finetune.evaluation.retrieval import retrieve
from dragon_finetune.files import write_jsonl
from dragon_finetune.model_folder import ModelFolder
from dragon_finetune.pair import Pair, read_pairs
from dragon_finetune.training.cleaning import clean_pairs
from dragon_finetune.training.splitting import split_pairs
from dragon_finetune.training.validation import Validation

CODEX = Path(__file__).parents[1] / "dragons_codex" / "data"
SEEDS = (1, 2, 3)
RECIPES = ("base", "plain", "ours")
Rubric = tuple[list[int], list[int]]


def oz(chapters: Path, out: Path) -> tuple[list[Path], list[Pair], Path]:
    records = [json.loads(line) for line in chapters.read_text(encoding="utf-8").splitlines()]
    chunks = list(TokenChunker("embedded").chunk_records(records))
    write_jsonl(out / "oz_chunks.jsonl", chunks)
    pairs = []
    for number, text in enumerate(chunk["text"] for chunk in chunks):
        sentences = [each for each in re.split(r"(?<=[.!?])\s+", text) if 40 < len(each) < 160]
        if len(sentences) > 2:
            query = sentences[number % len(sentences)]
            pairs.append(Pair(query, text.replace(query, "", 1).strip()))
    return [out / "oz_chunks.jsonl"], pairs, Path(__file__).parent / "data" / "oz_questions.json"


def rubric(model: str | Path, files: list[Path], questions: Path, vectors: Path) -> Rubric:
    embedder = FineTunedEmbedder(model, precision="fp32", on_overflow="split")
    results = retrieve(embedder, files, load_questions(questions), vectors=vectors)
    scores = [score_question(result, result["retrieved_chunks"]) for result in results]
    return [score.score for score in scores], [score.coverage_score for score in scores]


def run(name: str, seed: int, pairs: list[Pair], out: Path, epochs: int) -> tuple[float, str | Path]:
    """Train one recipe; return held-back nDCG@10 and where the model is."""
    folder = ModelFolder.open("embedded")
    training, held_back = split_pairs(pairs, 0.2, seed)
    validation = Validation(held_back, training + held_back, folder)
    if name == "base":
        return validation.judge(load_model(folder, device="cpu")).mean, "embedded"
    if name == "plain":
        model = load_model(folder, device="cpu")
        plain(model, training, out / "work", seed, epochs=epochs)
        model.save_pretrained(str(out / "plain"))
        return validation.judge(model).mean, out / "plain"
    settings = {"learning_rate": 5e-5, "batch_size": 32, "gradient_accumulation_steps": 2, "save_steps": 10_000}
    config = TrainingConfig(
        base_model="embedded",
        output_dir=out / "ours",
        epochs=epochs,
        seed=seed,
        validation_share=0.2,
        device="cpu",
        **settings,
    )
    return FineTuner(config).train(pairs).validation["kept"], out / "ours"


def interval(tuned: list[Rubric], base: Rubric, part: int) -> str:
    difference = np.mean([scores[part] for scores in tuned], axis=0) - np.array(base[part])
    rng = np.random.default_rng(0)
    means = difference[rng.integers(0, len(difference), (10_000, len(difference)))].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return f"{difference.mean():+.2f} [{low:+.2f}, {high:+.2f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", choices=("codex", "oz"))
    parser.add_argument("chapters", type=Path, nargs="?")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=RECIPES, help="the base goes first always")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        if options.corpus == "oz":
            files, pairs, questions = oz(options.chapters, work)
        else:
            files = sorted((CODEX / "chunks").glob("*.jsonl"))
            pairs, questions = read_pairs(CODEX / "training" / "pairs.jsonl"), CODEX / "testing" / "questions_100.json"
        pairs = clean_pairs(pairs)[0]
        asked = len(load_questions(questions))
        print(f"{options.corpus}: {len(pairs)} pairs, {asked} questions, {options.epochs} epochs, seeds {SEEDS}")
        print(f"{'':<15} {'nDCG@10':>8} {'by seed':<22} {'rubric':>6} {'coverage':>8}  rubric - base, coverage - base")
        base: Rubric = ([], [])
        for name in dict.fromkeys(["base", *options.recipes]):
            scores, rubrics = [], []
            for seed in SEEDS:
                out = work / f"{name}-{seed}"
                score, model = run(name, seed, pairs, out, options.epochs)
                scores.append(score)
                rubrics.append(rubric(model, files, questions, work / "vectors"))
            base = rubrics[0] if name == "base" else base
            means = [statistics.mean(statistics.mean(each[part]) for each in rubrics) for part in (0, 1)]
            gains = "" if name == "base" else f"{interval(rubrics, base, 0)}, {interval(rubrics, base, 1)}"
            by_seed = " ".join(f"{score:.4f}" for score in scores)
            print(
                f"{name:<15} {statistics.mean(scores):>8.4f} {by_seed:<22} {means[0]:>6.2f} {means[1]:>8.2f}  {gains}",
                flush=True,
            )


if __name__ == "__main__":
    main()
