"""Nearest neighbours among more vectors than memory need hold: short copies are compared, then the best in full.

The copies are the vectors' shares of the directions in which a sample of them reaches furthest (principal components,
not centred, for it is products that are compared). Both passes are matrix products over blocks of queries; at
100,000 vectors that takes less time than a graph (HNSW) or cells (IVF), which leap about in memory
(docs/pairs-at-scale.md has the figures).
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from dragon_finetune.embedding.engine import Vectors
from dragon_finetune.index.mapped import MappedVectors
from dragon_finetune.progress import progress

LEAST_WIDTH, MOST_WIDTH = 256, 16_384
_LEAST_SHORT, _SHORTER = 96, 4  # a copy has a quarter of the numbers, and not fewer than 96
_SAMPLE = 16_384  # vectors that the directions are taken from
_COLUMNS = 2048  # vectors whose products with a block of queries are held
_TASTE = 8192  # vectors that tell which products are high


class Neighbours:
    """The short copies of vectors, and the way back to the whole ones. The same vectors give the same answers.

    Args:
        vectors: of unit length.
    """

    def __init__(self, vectors: MappedVectors) -> None:
        self.width = LEAST_WIDTH
        """Vectors compared in full for each query, as far as there are; as many as are wanted, where that is more."""
        self._vectors = vectors
        self._turn = _directions(vectors)
        self._short = np.empty((len(vectors), self._turn.shape[1]), dtype=np.float32)
        for start, block in progress(vectors.blocks(), desc="shorten vectors", unit="shard", total=len(vectors.files)):
            np.matmul(block, self._turn, out=self._short[start : start + len(block)])

    def nearest(self, queries: Vectors, count: int) -> list[npt.NDArray[np.int64]]:
        """Return for each query the places of `count` vectors or all, the nearest first as far as they are found."""
        near = self.near(queries, count)
        whole = self._vectors.products(np.atleast_2d(queries), near)
        return [places[np.argsort(-of, kind="stable")[:count]] for places, of in zip(near, whole, strict=True)]

    def near(self, queries: Vectors, count: int) -> list[npt.NDArray[np.int64]]:
        """Return for each query the places, ascending, of what is to be compared in full to find the nearest `count`.

        Args:
            queries: (queries, dimension).
            count: at least so many places are returned, or all.
        """
        count = min(max(self.width, count), len(self._short))
        turned = np.atleast_2d(queries) @ self._turn
        found = self._highest(turned, count, self._floor(turned, count))
        few = [row for row, places in enumerate(found) if len(places) < count]
        if few:
            everything = np.full(len(few), -np.inf, dtype=np.float32)
            for row, places in zip(few, self._highest(turned[few], count, everything), strict=True):
                found[row] = places
        return found

    def _highest(self, turned: Vectors, count: int, floor: Vectors) -> list[npt.NDArray[np.int64]]:
        """Return for each short query the places, ascending, of its `count` highest products above a floor."""
        blocks = [self._above(turned, floor[:, None], start) for start in range(0, len(self._short), _COLUMNS)]
        rows, places, products = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
        order = np.argsort(rows, kind="stable")
        ends = np.searchsorted(rows[order], np.arange(1, len(turned)))
        each = zip(np.split(places[order], ends), np.split(products[order], ends), strict=True)
        return [own[_rows_of_highest(of, count)] for own, of in each]

    def _above(self, turned: Vectors, floor: Vectors, start: int) -> tuple[npt.NDArray[Any], ...]:
        products = turned @ self._short[start : start + _COLUMNS].T
        rows, columns = np.divmod(np.flatnonzero(products >= floor), products.shape[1])
        return rows, columns + start, products[rows, columns]

    def _floor(self, turned: Vectors, count: int) -> Vectors:
        """Return for each short query a product that `count` vectors or more reach, as some of them tell."""
        step = max(1, len(self._short) // _TASTE)
        tasted = turned @ self._short[::step].T
        wanted = count / step
        # Four standard deviations more, of a number that is Poisson's where vectors lie in no order.
        rank = min(tasted.shape[1], int(np.ceil(wanted + 4 * wanted**0.5 * (step > 1))))
        return np.asarray(np.partition(tasted, -rank, axis=1)[:, -rank])


def _directions(vectors: MappedVectors) -> Vectors:
    dimension = vectors.dimension
    sample = vectors.at(np.unique(np.linspace(0, len(vectors) - 1, _SAMPLE).astype(np.int64)))
    _, directions = np.linalg.eigh((sample.T @ sample).astype(np.float64))
    kept = min(dimension, max(_LEAST_SHORT, dimension // _SHORTER))
    return np.ascontiguousarray(directions[:, ::-1][:, :kept], dtype=np.float32)


def _rows_of_highest(products: Vectors, count: int) -> npt.NDArray[np.int64]:
    """Return the rows of the `count` highest, ascending."""
    if len(products) <= count:
        return np.arange(len(products))
    return np.sort(np.argpartition(-products, count - 1)[:count])
