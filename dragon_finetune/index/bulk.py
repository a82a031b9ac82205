"""Bulk embedding that survives a kill: chunk files into shards, what is there already not done again."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dragon_finetune.chunks import ChunkRef, no_chunks, read_chunks
from dragon_finetune.embedding.embedder import FineTunedEmbedder
from dragon_finetune.embedding.engine import Vectors
from dragon_finetune.index.shards import VectorStore
from dragon_finetune.locks import held
from dragon_finetune.progress import progress

_SHARD_TOKENS = 131_072  # what a kill may cost; enough for batches of even length
_SHARD_ROWS = 4096


@dataclass(frozen=True)
class BulkResult:
    """What a bulk run found done and did: numbers of distinct texts; and the engines that other processes used."""

    embedded: int
    already_done: int
    engines: tuple[str, ...] = ()


def embed_files(
    files: Sequence[Path | str],
    out: Path | str,
    embedder: FineTunedEmbedder,
    *,
    unique_ids: bool = False,
    text_field: str | None = None,
) -> BulkResult:
    """Embed every distinct text of chunk files into shards under `out`; what is there already is not done again.

    Another process that embeds into the same folder is waited for. Memory holds one shard, and 16 bytes and a place
    per text.

    Args:
        files: chunk files.
        out: the folder of the shards.
        embedder: the encoder; its fingerprint names the shards.
        unique_ids: refuse, before work starts, an id that comes twice: a collection would keep one of the two.
        text_field: the field that holds the text (`read_chunks`).

    Raises:
        DataError: a bad line (all files are read before work starts), a damaged shard, or a disk that is full.
        TokenLimitError: a text over the limit, and the embedder's on_overflow is "error".
    """
    total = count_chunks(files, read_chunks, unique=unique_ids, text_field=text_field)
    return embed_each(read_chunks(files, unique=False, text_field=text_field), total, out, embedder)


def count_chunks(files: Sequence[Path | str], read: Callable[..., Iterable[ChunkRef]], **how: Any) -> int:
    """Return how many chunks there are, having read them all: bad input is refused before work starts.

    Args:
        files: chunk files.
        read: `chunks.read_chunks`, or what reads like it.
        how: its other arguments.

    Raises:
        DataError: a bad line, or no chunk at all.
    """
    total = sum(1 for _ in read(files, **how))
    if not total:
        raise no_chunks(files)
    return total


def embed_each(chunks: Iterable[ChunkRef], total: int, out: Path | str, embedder: FineTunedEmbedder) -> BulkResult:
    """Embed every distinct text of chunks, `total` in number, as `embed_files` does those of files."""
    # In the folder, for nothing beside it need be ours to write (a volume).
    with held(Path(out) / "shards", wait=True):
        return _embed(chunks, total, out, embedder)


def _embed(chunks: Iterable[ChunkRef], total: int, out: Path | str, embedder: FineTunedEmbedder) -> BulkResult:
    store = VectorStore(out, embedder)
    dense = VectorStore(out, embedder.without_words) if embedder.joiner else None
    seen: set[bytes] = set()
    embedded = already = 0
    with progress(total=total, desc="embed", unit="chunk") as bar:
        for group in in_groups(chunks):
            texts = [chunk.text for chunk in group]
            keys = embedder.vector_keys(texts)
            fresh = {key: text for key, text in zip(keys, texts, strict=True) if key not in seen}
            waiting = {key: text for key, text in fresh.items() if key not in store}
            seen.update(fresh)
            already += len(fresh) - len(waiting)
            if waiting:
                store.add(list(waiting), *vectors_of(waiting, embedder, dense))
                embedded += len(waiting)
            bar.update(len(group))
    return BulkResult(embedded, already)


def vectors_of(
    waiting: Mapping[bytes, str], embedder: FineTunedEmbedder, dense: VectorStore | None
) -> tuple[Vectors, str]:
    """Return the vectors of texts by their keys, and the precision in which they were computed."""
    texts = list(waiting.values())
    if dense is not None and embedder.joiner and all(key in dense for key in waiting):
        # What the model makes of a text does not change when words are joined to it.
        known = np.stack([dense.vector(key) for key in waiting])
        return embedder.joiner.join(known, texts, "document"), dense.precision_of(waiting)
    return embedder.encode(texts, role="document"), embedder.engine.name.rpartition("-")[2]


def shard_rows() -> int:
    """Return how many texts one shard holds at most."""
    return _SHARD_ROWS


def in_groups(chunks: Iterable[ChunkRef], max_rows: int | None = None) -> Iterator[list[ChunkRef]]:
    """Yield the chunks in groups of one shard, of `max_rows` at most (default: `shard_rows`)."""
    # Groups depend on the input alone, so an interrupted run makes the same shards as an uninterrupted one.
    max_rows = max_rows or shard_rows()
    group: list[ChunkRef] = []
    characters = 0
    for chunk in chunks:
        group.append(chunk)
        characters += len(chunk.text)
        if len(group) == max_rows or characters >= 4 * _SHARD_TOKENS:
            yield group
            group, characters = [], 0
    if group:
        yield group
