"""Embedding on the CPU, side by side in one process, interleaved: how many times faster than the host's way.

    pip install "dragon-finetune[demo,openvino]"
    python examples/benchmarks/bench_embedding.py [--texts 400] [--rounds 3]

The texts have the codex's lengths: 43% of about 56 tokens, 24% of about 110, 30% of about 908 (cut to 512 by every
contender alike), 3% of about 742. MiniLM with max_seq_length 512 throughout. `host style` embeds 16 texts at a time in
the order in which they come; `encode` is SentenceTransformer.encode with its default batch of 32.

Share of peak: forward FLOP of the real tokens (no padding) per second, over the measured FLOP/s of a large matrix
product in the same precision with the same threads. FLOP per text of n tokens, for L layers of width h and inner width
f (a product of a x b by b x c counts 2abc): L * (2n * (4h^2 + 2hf) + 4n^2 h).
"""

import argparse
import itertools
import json
import random
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

from dragon_finetune import FineTunedEmbedder, TokenCounter
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


def matmul_flops(dtype: torch.dtype, size: int = 2048) -> float:
    left, right = torch.randn(size, size).to(dtype), torch.randn(size, size).to(dtype)
    times = []
    for _ in range(6):
        started = time.perf_counter()
        left @ right
        times.append(time.perf_counter() - started)
    return 2 * size**3 / min(times)


def contenders(texts: list[str]) -> dict[str, Callable[[], np.ndarray]]:
    plain = SentenceTransformer(str(ModelFolder.open("embedded").path), device="cpu", local_files_only=True)
    plain.max_seq_length = LIMIT

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
    for engine, precision in (*itertools.product(("torch", "openvino"), ("fp32", "bf16")), ("auto", "auto")):
        embedder = open_embedder(engine, precision)
        runs[f"ours {engine} {precision}"] = lambda embedder=embedder: embedder.encode(texts, role=None)
    return runs


def open_embedder(engine: str, precision: str) -> FineTunedEmbedder:
    embedder = FineTunedEmbedder("embedded", engine=engine, precision=precision, on_overflow="truncate", device="cpu")
    embedder.folder = ModelFolder.open("embedded", max_seq_length=LIMIT)
    return embedder


def top10(vectors: np.ndarray) -> np.ndarray:
    scores = vectors @ vectors.T
    np.fill_diagonal(scores, -1)
    return np.argsort(-scores, axis=1)[:, :10]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    texts = make_texts(options.texts)
    tokens = [min(count, LIMIT) for count in TokenCounter("embedded", prompt=None).counts(texts)]
    runs = contenders(texts)
    vectors = {name: run() for name, run in runs.items()}  # warm: conversion, kernels, budgets
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _, (name, run) in itertools.product(range(options.rounds), runs.items()):
        started = time.perf_counter()
        run()
        times[name].append(time.perf_counter() - started)
    peaks = {"fp32": matmul_flops(torch.float32), "bf16": matmul_flops(torch.bfloat16)}
    best = {name: min(taken) for name, taken in times.items()}
    exact = vectors["encode (batch 32)"]
    neighbours = top10(exact)
    print(f"{len(texts)} texts, {sum(tokens):,} tokens, best of {options.rounds} interleaved rounds")
    print(", ".join(f"matmul {name} {peak / 1e9:.0f} GFLOP/s" for name, peak in peaks.items()))
    print(f"{'':<26} {'tokens/s':>9} {'x encode':>8} {'x host':>7} {'min cosine':>11} {'top-10':>7} {'of peak':>8}")
    for name, seconds in best.items():
        cosine = float((vectors[name] * exact).sum(axis=1).min())
        overlap = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(top10(vectors[name]), neighbours, strict=True)])
        peak = peaks["bf16" if name.endswith(("bf16", "auto")) else "fp32"]
        print(
            f"{name:<26} {sum(tokens) / seconds:>9,.0f} {best['encode (batch 32)'] / seconds:>8.2f} "
            f"{best['host style (16 in order)'] / seconds:>7.2f} {cosine:>11.7f} {overlap:>7.3f} "
            f"{forward_flop(tokens) / seconds / peak:>8.2f}"
        )


if __name__ == "__main__":
    main()
