"""Embedding on the CPU, side by side in one process, interleaved: how many times faster than the host's way.

    pip install "dragon-finetune[demo,int8]"
    python examples/benchmarks/bench_embedding.py [--texts 400] [--rounds 3] [--isa avx2|avx2_vnni|avx512_vnni|native]

The texts have the codex's lengths: 43% of about 56 tokens, 24% of about 110, 30% of about 908 (cut to 512 by every
contender alike), 3% of about 742. MiniLM with max_seq_length 512 throughout. `host style` embeds 16 texts at a time in
the order in which they come; `encode` is SentenceTransformer.encode with its default batch of 32. bf16 takes part where
the CPU has it.

--isa lets every contender use no more than a laptop's CPU would have: the script starts again with ONEDNN_MAX_CPU_ISA,
ATEN_CPU_CAPABILITY and MKL_ENABLE_INSTRUCTIONS in its environment, which OpenVINO's and torch's oneDNN, torch's own
kernels and MKL read when they are imported (MKL on Intel's CPUs only). A limit adds nothing that the CPU lacks; the
table names what is left. int8 is calibrated on the texts themselves and judged by nobody here; its two forms are `all`
layers and `feed-forward` layers only. Times are medians of rounds in which the contenders take turns.

Other engines with the same model (peers.py) are in the same table where they are installed.

Share of peak: forward FLOP of the real tokens (no padding) per second, over the measured FLOP/s of a large matrix
product in the same precision with the same threads, by the best kernel at hand (peaks.py). FLOP per text of n tokens,
for L layers of width h and inner width f (a product of a x b by b x c counts 2abc): L * (2n * (4h^2 + 2hf) + 4n^2 h).
"""

import argparse
import itertools
import json
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from peaks import peaks
from peers import peers
from sentence_transformers import SentenceTransformer

from dragon_finetune import FineTunedEmbedder, TokenCounter
from dragon_finetune.embedding.hardware import fast_precisions
from dragon_finetune.embedding.instruction_sets import LIMITS, instruction_set
from dragon_finetune.embedding.quantising import quantise
from dragon_finetune.files import read_json, write_json
from dragon_finetune.model_folder import ModelFolder

PROFILE = {56: 0.43, 110: 0.24, 908: 0.30, 742: 0.03}
LIMIT = 512
OZ = Path(__file__).parents[3] / "shared" / "data" / "oz_chapters.jsonl"
CODEX = Path(__file__).parents[1] / "dragons_codex" / "data" / "chunks" / "book_chunks.jsonl"


def make_texts(count: int) -> list[str]:
    source = OZ if OZ.is_file() else CODEX
    words = " ".join(json.loads(line)["text"] for line in source.read_text(encoding="utf-8").splitlines()).split()
    per_word = TokenCounter("embedded").count(" ".join(words[:5000])) / 5000
    dice = random.Random(1)
    lengths = dice.choices(list(PROFILE), weights=list(PROFILE.values()), k=count)
    places = [dice.randrange(len(words) - 1000) for _ in lengths]
    return [" ".join(words[at : at + round(n / per_word)]) for at, n in zip(places, lengths, strict=True)]


def forward_flop(tokens: list[int], layers: int = 6, h: int = 384, f: int = 1536) -> float:
    return sum(layers * (2 * n * (4 * h * h + 2 * h * f) + 4 * n * n * h) for n in tokens)


def limit_to(isa: str) -> None:
    """Start this script again in an environment that allows no more than `isa`, unless this is such a one."""
    limits = {"ONEDNN_MAX_CPU_ISA": LIMITS[isa]}
    if not isa.startswith("avx512"):
        limits |= {"ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}
    if any(os.environ.get(name) != value for name, value in limits.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **limits})


def long_model(folder: Path) -> Path:
    """Return a copy of MiniLM in `folder` whose limit is LIMIT."""
    model = shutil.copytree(ModelFolder.open("embedded").path, folder / "model")
    settings = model / "sentence_bert_config.json"
    write_json(settings, {**read_json(settings), "max_seq_length": LIMIT})
    return model


def contenders(model: Path, texts: list[str]) -> dict[str, Callable[[], np.ndarray]]:
    plain = SentenceTransformer(str(model), device="cpu", local_files_only=True)

    def host_style() -> np.ndarray:
        return np.concatenate(
            [
                plain.encode(texts[n : n + 16], batch_size=16, normalize_embeddings=True)
                for n in range(0, len(texts), 16)
            ]
        )

    runs: dict[str, Callable[[], np.ndarray]] = {
        "host style (16 in order)": host_style,
        "encode (batch 32)": lambda: plain.encode(texts, normalize_embeddings=True),
    }
    for engine, precision in (
        *itertools.product(("torch", "openvino"), fast_precisions(on_cpu=True)),
        ("auto", "auto"),
    ):
        embedder = open_embedder(model, engine, precision)
        runs[f"ours {engine} {precision}"] = lambda embedder=embedder: embedder.encode(texts, role=None)
    for parts in ("all", "feed-forward"):
        embedder = open_embedder(model, "openvino", "fp32").with_int8(quantise(model, texts, parts=parts))
        runs[f"ours int8, {parts}"] = lambda embedder=embedder: embedder.encode(texts, role=None)
    for name, embed in peers(model, model.parent, LIMIT):
        runs[name] = lambda embed=embed: embed(texts)
    return runs


def open_embedder(model: Path, engine: str, precision: str) -> FineTunedEmbedder:
    return FineTunedEmbedder(model, engine=engine, precision=precision, on_overflow="truncate", device="cpu")


def precision_of(contender: str) -> str:
    """Return the precision whose peak a contender is held to."""
    if contender.endswith(("bf16", "auto")):
        return fast_precisions(on_cpu=True)[0]
    return "int8" if "int8" in contender or "q8" in contender else "fp32"


def top10(vectors: np.ndarray) -> np.ndarray:
    scores = vectors @ vectors.T
    np.fill_diagonal(scores, -1)
    return np.argsort(-scores, axis=1)[:, :10]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--isa", choices=[*LIMITS, "native"], default="native")
    options = parser.parse_args()
    if options.isa != "native":
        limit_to(options.isa)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        compare(long_model(Path(folder)), options.texts, options.rounds, options.isa)


def compare(model: Path, count: int, rounds: int, isa: str) -> None:
    texts = make_texts(count)
    tokens = [min(count, LIMIT) for count in TokenCounter("embedded", prompt=None).counts(texts)]
    runs = contenders(model, texts)
    vectors = {name: run() for name, run in runs.items()}  # warm: conversion, kernels, budgets
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _, (name, run) in itertools.product(range(rounds), runs.items()):
        started = time.perf_counter()
        run()
        times[name].append(time.perf_counter() - started)
    best = peaks([*fast_precisions(on_cpu=True), "int8"])
    median = {name: statistics.median(taken) for name, taken in times.items()}
    exact = vectors["encode (batch 32)"]
    neighbours = top10(exact)
    limit = f"--isa {isa} ({instruction_set()})"
    print(f"{len(texts)} texts, {sum(tokens):,} tokens, medians of {rounds} interleaved rounds, {limit}")
    print(", ".join(f"matmul {name} {flops / 1e9:.0f} GFLOP/s by {whose}" for name, (flops, whose) in best.items()))
    print(f"{'':<26} {'tokens/s':>9} {'x encode':>8} {'x host':>7} {'min cosine':>11} {'top-10':>7} {'of peak':>8}")
    for name, seconds in median.items():
        cosine = float((vectors[name] * exact).sum(axis=1).min())
        overlap = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(top10(vectors[name]), neighbours, strict=True)])
        print(
            f"{name:<26} {sum(tokens) / seconds:>9,.0f} {median['encode (batch 32)'] / seconds:>8.2f} "
            f"{median['host style (16 in order)'] / seconds:>7.2f} {cosine:>11.7f} {overlap:>7.3f} "
            f"{forward_flop(tokens) / seconds / best[precision_of(name)][0]:>8.2f}"
        )


if __name__ == "__main__":
    main()
