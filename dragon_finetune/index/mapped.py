"""Vectors of a sequence of texts in .npy shards that are mapped into memory, not read; a kill costs one shard."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dragon_finetune.embedding.embedder import FineTunedEmbedder
from dragon_finetune.embedding.engine import Vectors
from dragon_finetune.embedding.fingerprint import vector_key
from dragon_finetune.errors import DataError
from dragon_finetune.files import absolute, replacing
from dragon_finetune.locks import held
from dragon_finetune.model_folder import Role
from dragon_finetune.progress import progress

_ROWS = 16_384
_MOST_SHARDS = 200  # a process may have 256 files open where the system is mean
_AT_ONCE = 512  # vectors that are read for products: they and their queries stay in the cache
_LENGTH_MAY_BE_OFF = 1e-2


class MappedVectors:
    """The vectors of texts, in their order: `<folder>/<fingerprint>/<number>-<mark of its texts>.npy`, float32.

    What is there already is not embedded again; a shard whose texts changed takes the place of the old one. Another
    process that embeds into the same folder is waited for.

    Args:
        folder: of the shards.
        texts: whose vectors they are.
        embedder: makes them.
        role: whose prompt goes before the texts.
        rows: texts of a shard; default: 16,384, more where there would be over 200 shards.

    Raises:
        DataError: a shard is damaged or can't be written; names the file.
        TokenLimitError: a text over the limit, and the embedder's on_overflow is "error".
    """

    def __init__(
        self,
        folder: Path | str,
        texts: Sequence[str],
        embedder: FineTunedEmbedder,
        *,
        role: Role = "document",
        rows: int | None = None,
    ) -> None:
        self._rows = rows or max(_ROWS, -(-len(texts) // _MOST_SHARDS))
        self._length = len(texts)
        place = absolute(folder) / embedder.fingerprint
        with held(place / "shards", wait=True):
            self.files = [
                _embedded(place, number, texts[start : start + self._rows], embedder, role)
                for number, start in enumerate(
                    progress(range(0, len(texts), self._rows), desc=f"embed {role} texts", unit="shard")
                )
            ]
        self._shards = [_mapped(file) for file in self.files]

    def __len__(self) -> int:
        return self._length

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return int(self._shards[0].shape[1])

    def blocks(self) -> Iterator[tuple[int, Vectors]]:
        """Yield (place of the first, vectors) shard by shard, read and let go again."""
        for number, file in enumerate(self.files):
            yield number * self._rows, np.load(file)

    def at(self, places: Any) -> Vectors:
        """Return the vectors at places, (places, dimension)."""
        places = np.asarray(places, dtype=np.int64)
        shards = places // self._rows
        found = np.empty((len(places), self.dimension), dtype=np.float32)
        for number in np.unique(shards).tolist():
            here = shards == number
            there = self._shards[number][places[here] - number * self._rows]
            if len(there) == len(places):
                return np.asarray(there)
            found[here] = there
        return found

    def products(self, queries: Vectors, places: Sequence[npt.NDArray[Any]]) -> list[npt.NDArray[np.float32]]:
        """Return the products of each query with the vectors at its places, in their order.

        Args:
            queries: (queries, dimension).
            places: of each query.
        """
        counts = [len(own) for own in places]
        rows, every = np.repeat(np.arange(len(queries)), counts), np.concatenate(places)
        found = np.empty(len(every), dtype=np.float32)
        # In the vectors' order, for leaping about in what is mapped takes five times as long.
        order = np.argsort(every, kind="stable")
        for part in np.split(order, range(_AT_ONCE, len(order), _AT_ONCE)):
            found[part] = np.einsum("ij,ij->i", self.at(every[part]), queries[rows[part]])
        return np.split(found, np.cumsum(counts[:-1]))


def _embedded(folder: Path, number: int, texts: Sequence[str], embedder: FineTunedEmbedder, role: Role) -> Path:
    """Return the shard's file, made where it is not there."""
    options = embedder.options
    digest = hashlib.blake2b(f"{role}/{options.precision}".encode(), digest_size=8)
    for text in texts:
        digest.update(vector_key(text, options.on_overflow))
    file = folder / f"{number:06d}-{digest.hexdigest()}.npy"
    if file.exists():
        _check(file, len(texts))
        return file
    vectors = np.ascontiguousarray(embedder.encode(texts, role=role), dtype=np.float32)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(file) as draft, draft.open("wb") as out:
            np.save(out, vectors)
        for old in set(folder.glob(f"{number:06d}-*.npy")) - {file}:
            old.unlink()
    except OSError as error:
        raise DataError(
            f"{file} can't be written ({error.strerror or error}). What was embedded before is kept; free the disk or "
            "mend the folder's rights, then run the same command again."
        ) from error
    return file


def _check(file: Path, rows: int) -> None:
    vectors = _mapped(file)
    if vectors.ndim != 2 or vectors.dtype != np.float32 or len(vectors) != rows:
        raise _damaged(file, f"it holds {vectors.dtype} of {vectors.shape}, not float32 of {rows:,} texts")
    # A disk that lost a block leaves zeros, or what was there before.
    lengths = np.einsum("td,td->t", vectors, vectors)
    wrong = np.flatnonzero(~(np.abs(lengths - 1) < _LENGTH_MAY_BE_OFF))
    if len(wrong):
        raise _damaged(file, f"vector {wrong[0]} has the length {np.sqrt(lengths[wrong[0]]):.3g}, not 1")


def _mapped(file: Path) -> Any:
    try:
        # A plain view, for each slice of a memmap is another memmap, which takes longer than to look.
        return np.asarray(np.load(file, mmap_mode="r"))
    except (OSError, ValueError, EOFError) as error:
        raise _damaged(file, str(error)) from error


def _damaged(file: Path, why: str) -> DataError:
    return DataError(f"{file} can't be read ({why}). Delete it; its texts will be embedded again.")
