"""What Ray costs and gives: the command with `--ray local` against the command alone, interleaved, as ratios.

    pip install "dragon-finetune[demo,openvino,ray]"
    python examples/benchmarks/bench_ray.py [--texts 20000] [--rounds 3]

Every run is the whole command in a process of its own, into an empty folder: its start, Ray's, the model's, and the
shards. The model is the packaged MiniLM, converted and measured beforehand; texts have 12 to 40 words. The share of the
start is told by the same commands on 8 texts.

- one worker: the command with one Ray worker that has all cores, over the command alone (goal: at most 1.15).
- two workers: two workers of half the cores each, over the command alone, which uses all (goal: at most 1).
"""

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow.parquet as pq

CODEX = Path(__file__).parents[1] / "dragons_codex" / "data" / "chunks" / "book_chunks.jsonl"
RUNS = {
    "alone": [],
    "one worker": ["--ray", "local", "--workers", "1"],
    "two workers": ["--ray", "local", "--workers", "2"],
}


def write_chunks(path: Path, count: int) -> Path:
    words = " ".join(json.loads(line)["text"] for line in CODEX.read_text(encoding="utf-8").splitlines()).split()
    dice = random.Random(1)
    texts = (
        " ".join([str(n), *words[(at := dice.randrange(len(words) - 40)) : at + dice.randint(12, 40)]])
        for n in range(count)
    )
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    return path


def seconds(chunks: Path, out: Path, more: list[str]) -> float:
    """Return how long the command takes into an empty folder."""
    shutil.rmtree(out, ignore_errors=True)
    command = [
        sys.executable,
        "-P",
        "-m",
        "dragon_finetune.cli",
        "embed",
        chunks,
        "-m",
        "embedded",
        "--out",
        out,
        *more,
    ]
    started = time.perf_counter()
    command += ["--on-overflow", "split"]
    done = subprocess.run([*map(str, command)], capture_output=True, encoding="utf-8", check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return time.perf_counter() - started


def keys(out: Path) -> list[tuple[str, list[bytes]]]:
    return [(shard.name, pq.read_table(shard)["key"].to_pylist()) for shard in sorted(out.rglob("*.parquet"))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        few, many = write_chunks(place / "few.jsonl", 8), write_chunks(place / "many.jsonl", options.texts)
        seconds(write_chunks(place / "warm.jsonl", 4096), place / "warm", [])  # conversion, and the best batch
        times: dict[tuple[str, str], list[float]] = {}
        for turn in range(options.rounds):
            for name, more in list(RUNS.items())[:: 1 if turn % 2 else -1]:
                for size, chunks in (("start", few), ("whole", many)):
                    out = place / f"{name} {size}"
                    times.setdefault((name, size), []).append(seconds(chunks, out, more))
        same = all(keys(place / f"{name} whole") == keys(place / "alone whole") for name in RUNS)
    best = {each: min(taken) for each, taken in times.items()}
    spread = {each: statistics.median(taken) / min(taken) for each, taken in times.items()}
    print(f"{options.texts:,} texts, best of {options.rounds} rounds, {os.cpu_count()} cores; shards alike: {same}")
    print(f"{'':<12} {'seconds':>8} {'of start':>9} {'x alone':>8} {'x without start':>16} {'median/best':>12}")
    for name in RUNS:
        whole, start = best[name, "whole"], best[name, "start"]
        alone = best["alone", "whole"]
        print(
            f"{name:<12} {whole:>8.1f} {start:>9.1f} {whole / alone:>8.2f} "
            f"{(whole - start) / (alone - best['alone', 'start']):>16.2f} {spread[name, 'whole']:>12.2f}"
        )


if __name__ == "__main__":
    main()
