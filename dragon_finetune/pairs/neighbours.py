"""Nearest neighbours among more vectors than can be compared one by one: a graph (HNSW) by usearch.

Malkov & Yashunin 2018, arXiv 1603.09320. usearch rather than faiss: it keeps half-precision vectors at the same recall,
which halves memory; its wheel is a third of a megabyte on each system, and it brings no second OpenMP beside
torch's.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from dragon_finetune.embedding.engine import Vectors
from dragon_finetune.errors import MissingExtraError
from dragon_finetune.index.mapped import MappedVectors
from dragon_finetune.progress import progress

_CONNECTIVITY, _EXPANSION_ADD = 16, 128  # usearch's own defaults
LEAST_EXPANSION, MOST_EXPANSION = 128, 8192


def require_usearch() -> Any:
    """Return usearch's module. Raises MissingExtraError, naming the extra, where it is not installed."""
    try:
        import usearch.index
    except ImportError as error:
        raise MissingExtraError(
            f'{error}. So many chunks are not compared one by one: pip install "dragon-finetune[scale]", or raise '
            "--approximate-from above their number.",
            name=error.name,
        ) from error
    return usearch.index


class Neighbours:
    """A graph over vectors. The same vectors give the same graph: it is built by one thread, and searched by all.

    Args:
        vectors: of unit length.

    Raises:
        MissingExtraError: usearch is not installed.
    """

    def __init__(self, vectors: MappedVectors) -> None:
        self.expansion = LEAST_EXPANSION
        self._graph = require_usearch().Index(
            ndim=vectors.dimension,
            metric="ip",
            dtype="f16",
            connectivity=_CONNECTIVITY,
            expansion_add=_EXPANSION_ADD,
            expansion_search=LEAST_EXPANSION,
            enable_key_lookups=False,
        )
        with progress(total=len(vectors), desc="neighbours", unit="text") as bar:
            for start, block in vectors.blocks():
                self._graph.add(np.arange(start, start + len(block), dtype=np.uint64), block, threads=1)
                bar.update(len(block))

    def nearest(self, queries: Vectors, count: int) -> list[npt.NDArray[np.int64]]:
        """Return for each query the places of up to `count` vectors, the nearest first as far as they are found."""
        count = min(count, len(self._graph))
        self._graph.expansion_search = max(self.expansion, 2 * count)
        found = self._graph.search(np.atleast_2d(queries), count)
        keys, counts = np.atleast_2d(found.keys), np.atleast_1d(getattr(found, "counts", len(found.keys)))
        return [row[:some].astype(np.int64) for row, some in zip(keys, counts.tolist(), strict=True)]
