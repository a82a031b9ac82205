"""Bulk embedding that survives a kill: shards on disk, keyed by the hash of the text and the encoder's fingerprint."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from dragon_finetune.embedding.embedder import FineTunedEmbedder
from dragon_finetune.embedding.engines import Vectors
from dragon_finetune.errors import DataError
from dragon_finetune.records import check_text, read_jsonl

_SHARD_TOKENS = 131_072  # what a kill may cost; enough for batches of even length
_SHARD_ROWS = 4096


@dataclass(frozen=True)
class ChunkRef:
    """One chunk of a file: where it stands, its text, its id and its metadata."""

    where: str
    id: str
    text: str
    metadata: dict[str, Any]

    @property
    def key(self) -> bytes:
        """BLAKE2b hash of the text, 16 bytes."""
        return hashlib.blake2b(self.text.encode(), digest_size=16).digest()


@dataclass(frozen=True)
class BulkResult:
    """What a bulk run found done and did: numbers of distinct texts."""

    embedded: int
    already_done: int


class VectorStore:
    """Vectors of one encoder under a folder, in Parquet shards `<fingerprint>/<number>.parquet` (key, vector).

    Args:
        folder: holds one sub-folder per fingerprint: another model's vectors are left alone and never mixed in.
        fingerprint: of the encoder.

    Raises:
        DataError: a shard can't be read; names the file.
    """

    def __init__(self, folder: Path | str, fingerprint: str) -> None:
        self._folder = Path(folder) / fingerprint
        self._places: dict[bytes, tuple[Path, int]] = {}
        for shard in self._shards():
            self._index(shard, _read(shard))

    def __contains__(self, key: bytes) -> bool:
        return key in self._places

    def __len__(self) -> int:
        return len(self._places)

    def vector(self, key: bytes) -> Vectors:
        """Return the vector of a text's hash. Raises KeyError if it is not there."""
        shard, row = self._places[key]
        vector: Vectors = _vectors(shard)[row]
        return vector

    def add(self, keys: Sequence[bytes], vectors: Vectors) -> None:
        """Append one shard, whole or not at all: it is on the disk when this returns.

        Raises:
            DataError: the disk is full or the folder can't be written; earlier shards are whole.
        """
        last = max((int(shard.stem) for shard in self._shards()), default=-1)
        shard = self._folder / f"{last + 1:06d}.parquet"
        width = vectors.shape[1]
        column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1), pa.float32()), width)
        table = pa.table({"key": pa.array(keys, pa.binary(16)), "vector": column})
        draft = shard.with_suffix(".tmp")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with draft.open("wb") as out:
                pq.write_table(table, out, compression="none")
                out.flush()
                os.fsync(out.fileno())
            draft.replace(shard)
        except OSError as error:
            raise DataError(
                f"{shard} can't be written ({error.strerror or error}). What was embedded before is kept; free the "
                "disk or mend the folder's rights, then run the same command again."
            ) from error
        self._index(shard, table)

    def _shards(self) -> list[Path]:
        return sorted(self._folder.glob("*.parquet"))

    def _index(self, shard: Path, table: pa.Table) -> None:
        self._places.update({key: (shard, row) for row, key in enumerate(table["key"].to_pylist())})


def read_chunks(files: Sequence[Path | str]) -> Iterator[ChunkRef]:
    """Yield the chunks of chunk files, in order. A chunk without `chunk_id` gets `<stem>_<row>` as the host does.

    Raises:
        DataError: bad JSON, or a chunk without text; names file and line.
    """
    for file in map(Path, files):
        for row, (line, record) in enumerate(read_jsonl(file)):
            where = f"{file}, line {line}"
            text = check_text(record.get("text"), where)
            metadata = {key: value for key, value in record.items() if key != "text"}
            yield ChunkRef(where, str(record.get("chunk_id") or f"{file.stem}_{row}"), text, metadata)


def embed_files(files: Sequence[Path | str], out: Path | str, embedder: FineTunedEmbedder) -> BulkResult:
    """Embed every distinct text of chunk files into shards under `out`; what is there already is not done again.

    Memory holds one shard, and 16 bytes and a place per text.

    Raises:
        DataError: a bad line (all files are read before work starts), a damaged shard, or a disk that is full.
        TokenLimitError: a text over the limit, and the embedder's on_overflow is "error".
    """
    total = sum(1 for _ in read_chunks(files))  # bad input is refused before work starts
    store = VectorStore(out, embedder.fingerprint)
    seen: set[bytes] = set()
    embedded = already = 0
    with tqdm(total=total, desc="embed", unit="chunk", disable=None) as bar:
        for group in _groups(read_chunks(files)):
            fresh = {chunk.key: chunk.text for chunk in group if chunk.key not in seen}
            waiting = {key: text for key, text in fresh.items() if key not in store}
            seen.update(fresh)
            already += len(fresh) - len(waiting)
            if waiting:
                store.add(list(waiting), embedder.encode(list(waiting.values()), role="document"))
                embedded += len(waiting)
            bar.update(len(group))
    return BulkResult(embedded, already)


def _groups(chunks: Iterator[ChunkRef]) -> Iterator[list[ChunkRef]]:
    # Groups depend on the input alone, so an interrupted run makes the same shards as an uninterrupted one.
    group: list[ChunkRef] = []
    characters = 0
    for chunk in chunks:
        group.append(chunk)
        characters += len(chunk.text)
        if len(group) == _SHARD_ROWS or characters >= 4 * _SHARD_TOKENS:
            yield group
            group, characters = [], 0
    if group:
        yield group


def _read(shard: Path) -> pa.Table:
    try:
        return pq.read_table(shard)
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{shard} can't be read ({error}). Delete it; its texts will be embedded again.") from error


@lru_cache(maxsize=8)
def _vectors(shard: Path) -> Vectors:
    column = _read(shard)["vector"].combine_chunks()
    return np.asarray(column.flatten().to_numpy(), dtype=np.float32).reshape(len(column), -1)
