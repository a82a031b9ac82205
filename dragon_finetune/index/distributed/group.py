"""A part of a group of texts, embedded by a worker and handed over as one row, and groups put together of them."""

import pickle
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from dragon_finetune.embedding.engine import Vectors
from dragon_finetune.errors import DragonFinetuneError
from dragon_finetune.index.distributed.embed_batch import EmbedBatch

_SCHEMA = pa.schema({
    "texts": pa.list_(pa.large_string()),
    "keys": pa.large_binary(),
    "vectors": pa.large_binary(),
    "engine": pa.string(),
    "said": pa.list_(pa.string()),
    "refused": pa.large_binary(),
    "whole": pa.bool_(),
    "read": pa.int64(),
    "already": pa.int64(),
})  # fmt: skip
_KEY_BYTES = 16


class EmbedGroup:
    """Embeds the rows of `missing.Missing`: what an actor of a pool runs.

    Args:
        model: the encoder.
        threads: CPU threads of its engine.
        options: keyword arguments of `FineTunedEmbedder`.
    """

    def __init__(self, model: str, threads: int, options: Mapping[str, Any]) -> None:
        self._embed = EmbedBatch(model, threads=threads, **options)

    def __call__(self, rows: pa.Table) -> pa.Table:
        """Return the rows with what was made of their texts; the texts stay only where that is still to be done.

        What is refused is handed over too: a task that raises would leave it to Ray when its workers make room.
        """
        return pa.Table.from_pylist([self._done_or_refused(row) for row in rows.to_pylist()], schema=_SCHEMA)

    def _done_or_refused(self, row: dict[str, Any]) -> dict[str, Any]:
        nothing = {"keys": b"", "vectors": b"", "engine": "", "said": [], "refused": b""}
        try:
            return {**nothing, **self._done(row)}
        except DragonFinetuneError as error:
            return {**nothing, **row, "refused": pickle.dumps(error)}

    def _done(self, row: dict[str, Any]) -> dict[str, Any]:
        texts = row["texts"]
        if row.pop("joinable") or not texts:
            return row
        # A worker's stderr is read by nobody.
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("default")
            keys = self._embed.embedder.vector_keys(texts)  # before the vectors: refuses what is too long in our words
            vectors = self._embed({"text": texts})["embedding"]
        said = [str(each.message) for each in caught if issubclass(each.category, UserWarning)]
        made = {"keys": b"".join(keys), "vectors": vectors.tobytes(), "engine": self._embed.embedder.engine.name}
        return {**row, **made, "texts": [], "said": said}


@dataclass(frozen=True)
class Group:
    """One group, or a part of one, as it comes back.

    Attributes:
        texts: those that are still to be joined from dense vectors that are there; else empty.
        keys: one per vector.
        vectors: (keys, dimension); empty where there are no keys.
        engine: the name of the engine that made them, "" if none did.
        said: what the worker warned of.
        whole: whether the group is whole with this part.
        read: chunks that were read for it.
        already: distinct texts of these that were in the shards.
    """

    texts: Sequence[str]
    keys: Sequence[bytes]
    vectors: Vectors
    engine: str
    said: Sequence[str]
    whole: bool
    read: int
    already: int

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "Group":
        """Return what `EmbedGroup` packed into a row.

        Raises:
            DragonFinetuneError: what the worker raised.
        """
        if refused := row["refused"]:
            raise pickle.loads(refused)
        packed = row["keys"]
        keys = [packed[start : start + _KEY_BYTES] for start in range(0, len(packed), _KEY_BYTES)]
        vectors = np.frombuffer(row["vectors"], dtype=np.float32)
        told = {name: value for name, value in row.items() if name != "refused"}
        return cls(**{**told, "keys": keys, "vectors": vectors.reshape(len(keys), -1) if keys else vectors})

    @classmethod
    def together(cls, parts: Iterable["Group"]) -> Iterator["Group"]:
        """Yield the groups that parts in their order make."""
        of_one: list[Group] = []
        for part in parts:
            of_one.append(part)
            if part.whole:
                yield of_one[0] if len(of_one) == 1 else cls._of_parts(of_one)
                of_one = []

    @classmethod
    def _of_parts(cls, parts: Sequence["Group"]) -> "Group":
        return replace(
            parts[-1],
            keys=[key for part in parts for key in part.keys],
            vectors=np.concatenate([part.vectors for part in parts]),
            # A shard notes what is not fp32 in it.
            engine=next((part.engine for part in parts if part.precision != "fp32"), parts[-1].engine),
            said=list(dict.fromkeys(said for part in parts for said in part.said)),
        )

    @property
    def precision(self) -> str:
        """In which precision the vectors were computed."""
        return self.engine.rpartition("-")[2]
