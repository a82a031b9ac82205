"""What the adaptive search saves: its best held-back nDCG@10 and its training steps beside the whole grid's.

    pip install "dragon-finetune[demo]"
    python examples/benchmarks/bench_search.py

The plan's grid, shrunken so that it runs in full on a CPU: its three learning rates, epochs {1, 2, 3} for {2, 4, 6} and
warm-ups of {2, 10} steps for {50, 100, 200}, on the example codex's pairs with the shorter passages. Both strategies
train on the same pairs and are judged on the same held-back ones; the seed decides the split, the draws and the order.
"""

import argparse
import tempfile
from pathlib import Path

from dragon_finetune.files import write_jsonl
from dragon_finetune.pair import read_pairs
from dragon_finetune.search.search import Search
from dragon_finetune.search.space import Space

PAIRS = Path(__file__).parents[1] / "dragons_codex" / "data" / "training" / "pairs.jsonl"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--longest", type=int, default=300, help="characters of a passage")
    parser.add_argument("--epochs", type=float, nargs="+", default=[1, 2, 3])
    parser.add_argument("--warmup", type=float, nargs="+", default=[2, 10])
    options = parser.parse_args()
    space = Space(epochs=tuple(options.epochs), warmup=tuple(options.warmup))
    with tempfile.TemporaryDirectory() as folder:
        pairs = Path(folder) / "pairs.jsonl"
        short = [pair for pair in read_pairs(PAIRS) if len(pair.positive) <= options.longest]
        write_jsonl(pairs, ({"query": pair.query, "positive_text": pair.positive} for pair in short))
        print(f"{len(short)} pairs; {space}")
        print("seed  base    grid    adaptive  ratio   steps: grid  adaptive  share", flush=True)
        for seed in options.seeds:
            found = {}
            for strategy in ("grid", "adaptive"):
                settings = {
                    "base_model": "embedded",
                    "output_dir": Path(folder) / f"{strategy}-{seed}",
                    "validation_share": 0.3,
                    "batch_size": 16,
                    "device": "cpu",
                    "save_steps": 10_000,
                }
                found[strategy] = Search(pairs, settings, space=space, strategy=strategy, seed=seed).run()
            grid, adaptive = (found[strategy].trials[0].score for strategy in ("grid", "adaptive"))
            steps = [found[strategy].steps for strategy in ("grid", "adaptive")]
            print(
                f"{seed:>4}  {found['grid'].base_score:.4f}  {grid:.4f}  {adaptive:.4f}    {adaptive / grid:.3f}   "
                f"{steps[0]:>11}  {steps[1]:>8}  {steps[1] / steps[0]:.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
