"""What the shards lack, group by group, as a run on one machine would find it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from dragon_finetune.embedding.embedder import FineTunedEmbedder
from dragon_finetune.embedding.fingerprint import vector_key
from dragon_finetune.index.bulk import in_groups
from dragon_finetune.index.distributed.sources import reader_of
from dragon_finetune.index.shards import VectorStore
from dragon_finetune.tokens.counting import TokenCounter

SCHEMA = pa.schema(
    {
        "texts": pa.list_(pa.large_string()),
        "joinable": pa.bool_(),
        "whole": pa.bool_(),
        "read": pa.int64(),
        "already": pa.int64(),
    }
)
"""One row per part of a group: distinct texts to embed, whether their dense vectors are there, whether the group is
whole with it, how many chunks were read since the group before, and how many distinct texts of these are in the shards;
both stand in the last part."""


@dataclass(frozen=True)
class Missing:
    """The groups of chunk files of which the shards lack something. Cheap to pickle; the same each time it is asked.

    Attributes:
        files: the chunk files.
        text_field: the field that holds the text.
        out: the folder of the shards.
        model: the encoder, and
        options: its keyword arguments.
        shard_rows: how many texts one shard holds at most.
        part_rows: how many of them go to a worker at once.
        shards: how many shards this encoder had when the run began. What came since is not looked at, so that who asks
            again after a failure is told the same.
    """

    files: Sequence[Path | str]
    text_field: str | None
    out: Path | str
    model: str
    options: Mapping[str, Any]
    shard_rows: int
    part_rows: int
    shards: int

    def rows(self) -> Iterator[pa.Table]:
        """Yield tables of one row (`SCHEMA`) for each group that lacks something, and one for what comes after."""
        there, seen = _Shards(self), set[bytes]()
        read = already = 0
        chunks = reader_of(self.files)(self.files, unique=False, text_field=self.text_field)
        for group in in_groups(chunks, self.shard_rows):
            fresh = {vector_key(chunk.text): chunk.text for chunk in group}
            new = [text for key, text in fresh.items() if key not in seen]
            seen.update(fresh)
            texts = there.lacking(new)
            read, already = read + len(group), already + len(new) - len(texts)
            if texts:
                yield from self._parts(texts, there.are_dense(texts), read, already)
                read = already = 0
        yield _row([], False, read, already)

    def _parts(self, texts: Sequence[str], joinable: bool, read: int, already: int) -> Iterator[pa.Table]:
        rows = len(texts) if joinable else self.part_rows
        *others, last = [texts[start : start + rows] for start in range(0, len(texts), rows)]
        yield from (_row(part, False, 0, 0, whole=False) for part in others)
        yield _row(last, joinable, read, already)


class _Shards:
    """Tells what is in the shards without opening the model."""

    def __init__(self, missing: Missing) -> None:
        self._embedder = FineTunedEmbedder(missing.model, **missing.options)
        self._store = VectorStore(missing.out, self._embedder, below=missing.shards)
        joined = self._embedder.joiner
        self._dense = VectorStore(missing.out, self._embedder.without_words) if joined else None

    def lacking(self, texts: Sequence[str]) -> list[str]:
        there = self._there(texts, self._store)
        return [text for text in texts if text not in there]

    def are_dense(self, texts: Sequence[str]) -> bool:
        return self._dense is not None and len(self._there(texts, self._dense)) == len(texts)

    def _there(self, texts: Sequence[str], store: VectorStore) -> set[str]:
        rule = self._embedder.options.on_overflow
        # Tokens are counted only where it matters: a key also depends on whether its text is over the limit.
        maybe = [text for text in texts if vector_key(text) in store or vector_key(text, rule) in store]
        limit = self._embedder.folder.limit
        counts = self._counter.counts(maybe) if maybe else ()
        over = (limit is not None and count > limit for count in counts)
        return {text for text, long in zip(maybe, over, strict=True) if vector_key(text, rule if long else "") in store}

    @cached_property
    def _counter(self) -> TokenCounter:
        return TokenCounter(self._embedder.folder)


def _row(texts: Sequence[str], joinable: bool, read: int, already: int, *, whole: bool = True) -> pa.Table:
    values = {"texts": texts, "joinable": joinable, "whole": whole, "read": read, "already": already}
    return pa.Table.from_pylist([values], schema=SCHEMA)
