"""Chunkers side by side, one process, interleaved: time as a ratio to one bare `encode_batch` of the paragraphs, and
to one `encode_batch_fast`, which leaves out where each token stands.

    pip install chonkie semchunk semantic-text-splitter langchain-text-splitters
    python examples/benchmarks/bench_chunking.py [TEXT.jsonl] [--rounds 7]

Every contender cuts the same text with MiniLM's tokenizer to at most 256 tokens, special tokens included, without
overlap. Each counts as its library does; `over` is how many of its chunks exceed 256 when counted again by us from the
final string, `fill` the mean tokens per chunk over 256. Peers that count without special tokens get 254.
"""

import argparse
import json
import re
import statistics
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path

from transformers import AutoTokenizer

from dragon_finetune import TokenChunker, TokenCounter
from dragon_finetune.model_place import locate

LIMIT, SPECIAL = 256, 2
BARE = ("encode_batch", "encode_batch_fast")
OZ = Path(__file__).parents[3] / "shared" / "data" / "oz_chapters.jsonl"


def load_tokenizer():
    """Return MiniLM's tokenizer, new, without truncation and padding."""
    tokenizer = AutoTokenizer.from_pretrained(str(locate("embedded")), local_files_only=True)
    tokenizer.model_max_length = 10**9
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    return tokenizer


def contenders(tokenizer) -> dict[str, Callable[[str], list[str]]]:
    """Return name -> chunker. Built anew for each round, outside the timing: two peers keep counts of texts seen."""
    from chonkie import RecursiveChunker
    from langchain_text_splitters import RecursiveCharacterTextSplitter
    from semantic_text_splitter import TextSplitter
    from semchunk import chunkerify

    backend = tokenizer.backend_tokenizer
    ours = TokenChunker("embedded", max_tokens=LIMIT)
    recursive = RecursiveChunker(tokenizer=backend, chunk_size=LIMIT - SPECIAL)
    splitter = TextSplitter.from_huggingface_tokenizer(backend, LIMIT - SPECIAL)
    langchain = RecursiveCharacterTextSplitter.from_huggingface_tokenizer(tokenizer, chunk_size=LIMIT, chunk_overlap=0)
    semchunk = chunkerify(tokenizer, LIMIT)
    return {
        "dragon-finetune": ours,
        "chonkie": lambda text: [chunk.text for chunk in recursive.chunk(text)],
        "semchunk": semchunk,
        "semantic-text-splitter": splitter.chunks,
        "langchain-text-splitters": langchain.split_text,
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path, nargs="?", default=OZ)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    text = "\n\n".join(json.loads(line)["text"] for line in options.source.read_text(encoding="utf-8").splitlines())
    paragraphs = [paragraph for paragraph in re.split(r"\n\s*\n", text) if paragraph.strip()]

    times: dict[str, list[float]] = {}
    chunks: dict[str, list[str]] = {}
    for _ in range(options.rounds):
        tokenizer = load_tokenizer()
        backend = tokenizer.backend_tokenizer
        bare = {name: partial(getattr(backend, name), paragraphs) for name in BARE}
        runs = {f"bare {name}": lambda _, encode=encode: encode() and [] for name, encode in bare.items()}
        for name, run in {**runs, **contenders(tokenizer)}.items():
            started = time.perf_counter()
            chunks[name] = run(text)
            times.setdefault(name, []).append(time.perf_counter() - started)

    best = {name: min(taken) for name, taken in times.items()}
    counter = TokenCounter("embedded")
    print(f"{len(text):,} characters, {len(paragraphs):,} paragraphs, best of {options.rounds} interleaved rounds")
    print(f"{'':<26} {'version':>8} {'ms':>7} {'ratio':>6} {'fast':>6} {'chunks':>6} {'fill':>6} {'over':>4}")
    for name, seconds in best.items():
        found = [chunk for chunk in chunks[name] if chunk.strip()]
        tokens = list(counter.counts(found))
        shape = (
            f"{len(tokens):>6} {statistics.mean(tokens) / LIMIT:>6.3f} {sum(t > LIMIT for t in tokens):>4}"
            if tokens
            else ""
        )
        library = version("tokenizers" if name.startswith("bare") else name)
        ratios = " ".join(f"{seconds / best[f'bare {each}']:>6.2f}" for each in BARE)
        print(f"{name:<26} {library:>8} {seconds * 1000:>7.0f} {ratios} {shape}")


if __name__ == "__main__":
    main()
