"""Peak memory of training by mean length: the plain recipe against ours, each run in a process of its own.

    pip install "dragon-finetune[demo]"
    python examples/benchmarks/bench_memory.py

Both train MiniLM (its limit raised to 512) with 64 pairs per step: the plain recipe in four batches of 16, whose pairs
see 15 negatives each; ours in one batch of 64, with cached gradients, whose pairs see 63. Passages have the given mean
length in tokens, evenly spread from half to one and a half times that.
"""

import argparse
import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

LENGTHS = (64, 256, 512)
STEPS = 2


def child(recipe: str, length: int) -> None:
    from bench_training import plain

    from dragon_finetune import TrainingConfig
    from dragon_finetune.embedding.model import load_model
    from dragon_finetune.model_folder import ModelFolder
    from dragon_finetune.pair import Pair
    from dragon_finetune.training.datasets import Examples
    from dragon_finetune.training.fitting import fit

    dice = random.Random(1)
    words = "salt lamp oar rope bell keel tide gull sand road".split()  # one token each

    def text(tokens: int) -> str:
        return " ".join(dice.choices(words, k=max(1, tokens)))

    # Numbers tell the pairs apart: equal texts may not share a batch.
    pairs = [
        Pair(f"{n} {text(8)}", f"{n} {text(min(508, round(length * dice.uniform(0.5, 1.5))))}")
        for n in range(64 * STEPS)
    ]
    folder = ModelFolder.open("embedded", max_seq_length=512)
    model = load_model(folder, device="cpu")
    print("loaded", flush=True)
    with tempfile.TemporaryDirectory() as out:
        if recipe == "plain":
            plain(model, pairs, Path(out), 1)
        else:
            config = TrainingConfig(base_model="embedded", output_dir=Path(out), batch_size=64, device="cpu")
            fit(model, config, folder.prompts, Examples.of(pairs), Path(out), [], None)


def peak(recipe: str, length: int) -> float:
    """Return the most memory in MiB that a run held, sampled every 10 ms."""
    command = [sys.executable, __file__, "--child", recipe, str(length)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    most = 0
    watched = psutil.Process(process.pid)
    done = threading.Event()
    threading.Thread(target=lambda: (process.wait(), done.set()), daemon=True).start()
    while not done.is_set():
        try:
            most = max(most, watched.memory_info().rss)
        except psutil.NoSuchProcess:
            break
        time.sleep(0.01)
    if process.wait():
        raise SystemExit(f"{' '.join(command)} failed; run it to see why.")
    return most / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--child", nargs=2, metavar=("RECIPE", "LENGTH"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child[0], int(options.child[1]))
        return
    print(f"{'mean tokens':<12} {'plain MiB':>10} {'ours MiB':>10} {'ratio':>6}")
    for length in LENGTHS:
        one, two = peak("plain", length), peak("ours", length)
        print(f"{length:<12} {one:>10.0f} {two:>10.0f} {one / two:>6.2f}", flush=True)


if __name__ == "__main__":
    main()
