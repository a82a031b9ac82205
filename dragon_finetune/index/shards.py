"""Vectors on disk: Parquet shards of one encoder, keyed by the hash of the text."""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dragon_finetune.embedding.embedder import FineTunedEmbedder
from dragon_finetune.embedding.engine import Vectors
from dragon_finetune.errors import DataError
from dragon_finetune.files import absolute, replacing

_PRECISION = "precision"


class VectorStore:
    """Vectors of one encoder under a folder, in Parquet shards `<document_fingerprint>/<number>.parquet` (key, vector).

    Args:
        folder: holds one sub-folder per fingerprint: another model's vectors are left alone and never mixed in.
        embedder: whose vectors they are; what it made under a fingerprint of an earlier version is taken up too. One
            that was told to compute in fp32 does not take vectors of half precision.
        below: of the shards that this version made, only those of a lower number: what came since is not looked at.

    Raises:
        DataError: a shard can't be read; names the file.
    """

    def __init__(self, folder: Path | str, embedder: FineTunedEmbedder, *, below: int | None = None) -> None:
        folder = absolute(folder)
        self._folder = folder / embedder.document_fingerprint
        self._places: dict[bytes, tuple[Path, int]] = {}
        for marked in sorted(folder.glob("*/")):
            if embedder.recognises(marked.name):
                for shard in _numbered(marked, below if marked == self._folder else None):
                    table = _read(shard)
                    if embedder.options.precision != "fp32" or _noted(table.schema) == "fp32":
                        self._index(shard, table)

    def __contains__(self, key: bytes) -> bool:
        return key in self._places

    def __len__(self) -> int:
        return len(self._places)

    @property
    def shards(self) -> int:
        """The number that the next shard gets."""
        return max((int(shard.stem) + 1 for shard in _numbered(self._folder)), default=0)

    def vector(self, key: bytes) -> Vectors:
        """Return the vector of a text's hash. Raises KeyError if it is not there."""
        shard, row = self._places[key]
        vector: Vectors = _vectors(shard)[row]
        return vector

    def parts(self) -> Iterator[tuple[list[bytes], Vectors]]:
        """Yield the keys and vectors, (keys, dimension), shard by shard."""
        held: dict[Path, list[tuple[bytes, int]]] = {}
        for key, (shard, row) in self._places.items():
            held.setdefault(shard, []).append((key, row))
        for shard, rows in held.items():
            yield [key for key, _ in rows], _vectors(shard)[[row for _, row in rows]]

    def precision_of(self, keys: Iterable[bytes]) -> str:
        """Return the precision in which all these vectors were computed, or that which is not "fp32"."""
        noted = {_noted(pq.read_schema(shard)) for shard in {self._places[key][0] for key in keys}}
        return min(noted - {"fp32"}, default="fp32")

    def add(self, keys: Sequence[bytes], vectors: Vectors, precision: str = "fp32") -> None:
        """Append one shard, whole or not at all: it is on the disk when this returns.

        Args:
            keys: one per vector.
            vectors: (texts, dimension).
            precision: in which they were computed, which the shard notes: "fp32", "bf16", "fp16" or "int8".

        Raises:
            DataError: the disk is full or the folder can't be written; earlier shards are whole.
        """
        shard = self._folder / f"{self.shards:06d}.parquet"
        width = vectors.shape[1]
        column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1), pa.float32()), width)
        table = pa.table({"key": pa.array(keys, pa.binary(16)), "vector": column}, metadata={_PRECISION: precision})
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with replacing(shard) as draft:
                pq.write_table(table, draft, compression="none")
        except OSError as error:
            raise DataError(
                f"{shard} can't be written ({error.strerror or error}). What was embedded before is kept; free the "
                "disk or mend the folder's rights, then run the same command again."
            ) from error
        self._index(shard, table)

    def _index(self, shard: Path, table: pa.Table) -> None:
        self._places.update({key: (shard, row) for row, key in enumerate(table["key"].to_pylist())})


def _numbered(folder: Path, below: int | None = None) -> list[Path]:
    shards = sorted(folder.glob("*.parquet"))
    return shards if below is None else [shard for shard in shards if int(shard.stem) < below]


def _noted(schema: pa.Schema) -> str:
    # What an earlier version made does not say; it is taken for full, or every index would have to be made again.
    noted: bytes = (schema.metadata or {}).get(_PRECISION.encode(), b"fp32")
    return noted.decode()


def _read(shard: Path) -> pa.Table:
    try:
        return pq.read_table(shard)
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{shard} can't be read ({error}). Delete it; its texts will be embedded again.") from error


@lru_cache(maxsize=8)
def _vectors(shard: Path) -> Vectors:
    column = _read(shard)["vector"].combine_chunks()
    return np.asarray(column.flatten().to_numpy(), dtype=np.float32).reshape(len(column), -1)
