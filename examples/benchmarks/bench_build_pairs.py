"""How long `pairs` takes for a codex's worth of chunks: 25,000 to 100,000 pairs, 100 questions avoided.

    python examples/benchmarks/bench_build_pairs.py path/to/oz_chapters.jsonl
    python examples/benchmarks/bench_build_pairs.py path/to/oz_chapters.jsonl --model embedded

With a model the source is "hybrid", which embeds the chunks and the queries; without one it is "keywords".

Chunks are drawn from the sentences of the novels (about 110 words each), so that all differ.
"""

import argparse
import json
import random
import time
from pathlib import Path

from dragon_finetune import FineTunedEmbedder
from dragon_finetune.evaluation.questions import load_questions
from dragon_finetune.pairs.corpus import read_corpus
from dragon_finetune.pairs.searcher import Searcher
from dragon_finetune.pairs.synthesis import PairSettings, synthesize
from dragon_finetune.tokens.boundaries import sentences

QUESTIONS = Path(__file__).parent / "data" / "oz_questions.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("chapters", type=Path)
    parser.add_argument("--chunks", type=int, default=25_000)
    parser.add_argument("--model")
    options = parser.parse_args()
    texts = [json.loads(line)["text"] for line in options.chapters.read_text(encoding="utf-8").splitlines()]
    pool = [text[unit.start : unit.end] for text in texts for unit in sentences(text)]
    dice = random.Random(1)
    records = [
        (f"c{n}", {"text": " ".join(dice.sample(pool, 6)), "book_number": 1, "chapter_number": n // 20})
        for n in range(options.chunks)
    ]
    started = time.perf_counter()
    corpus = read_corpus(records)
    search = Searcher(corpus, FineTunedEmbedder(options.model, on_overflow="split")) if options.model else None
    made = synthesize(corpus, PairSettings(per_chunk=4, avoid=load_questions(QUESTIONS)), search=search)
    print(f"{len(made.pairs):,} pairs from {options.chunks:,} chunks in {time.perf_counter() - started:.0f} s")
    print(made.report)


if __name__ == "__main__":
    main()
