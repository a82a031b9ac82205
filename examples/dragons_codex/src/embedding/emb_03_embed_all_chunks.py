"""Embed every chunk file: data/chunks/<stem>.jsonl -> data/embeddings/<stem>.embeddings.pkl."""

import json
import pickle
from datetime import timedelta
from pathlib import Path
from typing import Any

from src.utils.config import BATCH_SIZE, CHUNKS, COLLECTIONS, EMBEDDINGS, load_config
from src.utils.util_embedding import create_embedder


def embed_file(embedder: Any, source: Path, target: Path) -> tuple[int, float, int, timedelta]:
    """Embed one file; return the number of chunks, mean and most tokens, and the time it took."""
    chunks = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()]
    stored: dict[str, dict[str, Any]] = {}
    elapsed, most, means = timedelta(), 0, []
    for first in range(0, len(chunks), BATCH_SIZE):
        batch = chunks[first : first + BATCH_SIZE]
        vectors, mean_tokens, max_tokens, took = embedder.embed_chunks([c["text"] for c in batch], BATCH_SIZE, False)
        for row, (chunk, vector) in enumerate(zip(batch, vectors, strict=True), start=first):
            metadata = {key: value for key, value in chunk.items() if key != "text"}
            stored[f"chunk_{row}"] = {"embedding": vector, "text": chunk["text"], "metadata": metadata}
        elapsed, most = elapsed + took, max(most, max_tokens)
        means.append(mean_tokens)
    draft = target.with_suffix(".tmp")
    with draft.open("wb") as out:
        pickle.dump(stored, out)
    draft.replace(target)
    return len(chunks), sum(means) / len(means), most, elapsed


def main() -> None:
    """Embed all seven files and print a table."""
    config = load_config()
    embedder = create_embedder(config)
    EMBEDDINGS.mkdir(parents=True, exist_ok=True)
    print(f"embedder: {config.get('embedder', 'host')}")
    print(f"{'file':<32} {'chunks':>6} {'mean tokens':>12} {'max tokens':>10} {'chunks/s':>9}")
    for stem in [stem for stems in COLLECTIONS.values() for stem in stems]:
        target = EMBEDDINGS / f"{stem}.embeddings.pkl"
        count, mean, most, elapsed = embed_file(embedder, CHUNKS / f"{stem}.jsonl", target)
        print(f"{stem:<32} {count:>6} {mean:>12.3f} {most:>10} {count / elapsed.total_seconds():>9.1f}", flush=True)


if __name__ == "__main__":
    main()
