"""Vectors in a quarter or a thirty-second of their room: whole numbers of 8 bits, or bits, made from shards."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dragon_finetune.embedding.embedder import FineTunedEmbedder
from dragon_finetune.embedding.engine import Vectors
from dragon_finetune.errors import DataError
from dragon_finetune.files import absolute, replacing
from dragon_finetune.index.shards import VectorStore

Kind = Literal["int8", "binary"]
_STEPS = 255


def to_int8(vectors: Vectors, ranges: Vectors) -> Any:
    """Return vectors as int8, (texts, dimension): sentence-transformers' `quantize_embeddings(precision="int8")`.

    Args:
        vectors: (texts, dimension).
        ranges: the least and the greatest number of each dimension over the corpus, (2, dimension).
    """
    return (np.clip(np.floor((vectors - ranges[0]) / _width(ranges)), 0, _STEPS) - 128).astype(np.int8)


def to_binary(vectors: Vectors) -> Any:
    """Return the signs of vectors as bits, (texts, dimension / 8) of int8: `quantize_embeddings`, "binary"."""
    return (np.packbits(vectors > 0, axis=-1) - 128).astype(np.int8)


def _width(ranges: Vectors) -> Any:
    width = (ranges[1] - ranges[0]) / _STEPS
    return np.where(width == 0, 1, width)


@dataclass(frozen=True)
class Compact:
    """The compact vectors of a corpus.

    Attributes:
        keys: of the texts (`fingerprint.vector_key`).
        codes: (texts, dimension) of int8, or (texts, dimension / 8).
        ranges: the least and the greatest number of each dimension, (2, dimension).
        kind: "int8" or "binary".
    """

    keys: Sequence[bytes]
    codes: Any
    ranges: Vectors
    kind: Kind

    def nearest(self, queries: Vectors, count: int = 10, *, rescored: int = 4, by: "Compact | None" = None) -> Any:
        """Return the places of the nearest texts of each query, (queries, count), nearest first.

        Bits are compared with the signs of the query; the `rescored` x `count` nearest texts are then compared with its
        numbers (Yamada et al. 2021, "Efficient Passage Retrieval with Hashing"). int8 is compared with them at once.

        Args:
            queries: unit vectors, (queries, dimension).
            count: how many.
            rescored: times as many are looked at again; 1: none is.
            by: the same texts, in the same order, in more room, that are looked at again; default: the bits themselves.
        """
        restored = self._restored(queries.shape[1])
        if self.kind == "int8":
            return np.argsort(-(queries @ restored.T), axis=1, kind="stable")[:, :count]
        signs = np.where(queries > 0, 1, -1).astype(np.float32)
        first = np.argsort(-(signs @ restored.T), axis=1, kind="stable")[:, : count * rescored]
        if rescored == 1:
            return first
        finer = restored if by is None else by._restored(queries.shape[1])
        again = np.einsum("qd,qcd->qc", queries, finer[first])
        return np.take_along_axis(first, np.argsort(-again, axis=1, kind="stable")[:, :count], axis=1)

    def _restored(self, dimension: int) -> Vectors:
        if self.kind == "int8":
            restored = (self.codes + np.float32(128.5)) * _width(self.ranges) + self.ranges[0]
        else:
            bits = np.unpackbits((self.codes.astype(np.int16) + 128).astype(np.uint8), axis=-1, count=dimension)
            restored = bits.astype(np.float32) * 2 - 1
        return np.asarray(restored, dtype=np.float32)


def compact_file(out: Path | str, embedder: FineTunedEmbedder, kind: Kind) -> Path:
    """Return where the compact vectors of a folder of shards lie."""
    return absolute(out) / f"{embedder.document_fingerprint}-{kind}.parquet"


def write_compact(out: Path | str, embedder: FineTunedEmbedder, kind: Kind) -> Path:
    """Write the compact form of all vectors of an embedder in a folder of shards, and return its file.

    The shards stay as they are. The file has the columns `key` and `vector`, and the ranges in its metadata: they are
    those of all these vectors, so it is written anew when there are more.

    Raises:
        DataError: no vectors, or the disk is full.
    """
    store = VectorStore(out, embedder)
    if not len(store):
        raise DataError(f"{out} holds no vectors of {embedder.model_path}. Embed into it first.")
    extremes = np.stack([[part.min(axis=0), part.max(axis=0)] for _, part in store.parts()])
    ranges = np.stack([extremes[:, 0].min(axis=0), extremes[:, 1].max(axis=0)])
    tables = (
        _table(keys, to_int8(part, ranges) if kind == "int8" else to_binary(part), ranges)
        for keys, part in store.parts()
    )
    file = compact_file(out, embedder, kind)
    first = next(tables)
    try:
        with replacing(file) as draft, pq.ParquetWriter(draft, first.schema, compression="none") as writer:
            writer.write_table(first)
            for table in tables:
                writer.write_table(table)
    except OSError as error:
        raise DataError(f"{file} can't be written ({error.strerror or error}). Free the disk.") from error
    return file


def _table(keys: Sequence[bytes], codes: Any, ranges: Vectors) -> pa.Table:
    column = pa.FixedSizeListArray.from_arrays(pa.array(codes.reshape(-1), pa.int8()), codes.shape[1])
    metadata = {"ranges": ranges.astype("<f4").tobytes()}
    return pa.table({"key": pa.array(keys, pa.binary(16)), "vector": column}, metadata=metadata)


def read_compact(out: Path | str, embedder: FineTunedEmbedder, kind: Kind) -> Compact:
    """Return what `write_compact` wrote.

    Raises:
        DataError: it can't be read; names the file.
    """
    file = compact_file(out, embedder, kind)
    try:
        table = pq.read_table(file)
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{file} can't be read ({error}). Run `embed --vectors {kind}` again.") from error
    column = table["vector"].combine_chunks()
    codes = np.asarray(column.flatten().to_numpy()).reshape(len(column), -1)
    ranges = np.frombuffer(table.schema.metadata[b"ranges"], dtype="<f4").reshape(2, -1)
    return Compact(table["key"].to_pylist(), codes, ranges, kind)
