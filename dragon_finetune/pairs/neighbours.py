"""Nearest neighbours among more vectors than memory need hold: short copies are compared, then the best in full.

The copies are the vectors' shares of the directions in which a sample of them reaches furthest (principal components,
not centred, for it is products that are compared). They lie in cells (k-means; an inverted file, as in Jegou et al.
2011), and a query is compared with those of some cells. All passes are matrix products over blocks of queries, which
takes less time than a graph (HNSW), which leaps about in memory (docs/pairs-at-scale.md has the figures).
"""

import itertools
import math
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from dragon_finetune.embedding.engine import Vectors
from dragon_finetune.index.mapped import MappedVectors
from dragon_finetune.progress import progress

LEAST_WIDTH, MOST_WIDTH = 256, 16_384
_LEAST_SHORT, _SHORTER = 128, 3  # a copy has a third of the numbers, and not fewer than 128
_SAMPLE = 16_384  # vectors that the directions are taken from
_TASTE = 8192  # vectors that tell which products are high
_OF_A_CELL, _ROUNDS = 64, 10  # vectors that k-means takes for each cell, and how often it goes over them
_SHARE, _LEAST_CELLS = 0.14, 128  # of the cells, that a query looks into where it compares LEAST_WIDTH in full
_MORE = 1.25  # times what is wanted is asked for, of which some lies in cells that are not looked into
_COLUMNS = 2048  # vectors whose products with a block of queries are held


class Neighbours:
    """The short copies of vectors, and the way back to the whole ones. The same vectors give the same answers.

    Args:
        vectors: of unit length.
    """

    def __init__(self, vectors: MappedVectors) -> None:
        self.width = LEAST_WIDTH
        """Vectors compared in full for each query, as far as there are; as many as are wanted, where that is more.
        With it grows the share of the cells that are looked into."""
        self._vectors = vectors
        self._turn = _directions(vectors)
        short = np.empty((len(vectors), self._turn.shape[1]), dtype=np.float32)
        for start, block in progress(vectors.blocks(), desc="shorten vectors", unit="shard", total=len(vectors.files)):
            np.matmul(block, self._turn, out=short[start : start + len(block)])
        self._centres, cells = _cells(short)
        self._places = np.argsort(cells, kind="stable").astype(np.int32)
        self._starts = np.searchsorted(cells[self._places], np.arange(len(self._centres) + 1)).tolist()
        self._short = short[self._places]

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
        looked = self._looked_into(turned)
        found = self._highest(turned, looked, count, self._floor(turned, count))
        few = [row for row, places in enumerate(found) if len(places) < count]
        if few:
            everything = np.full(len(few), -np.inf, dtype=np.float32)
            all_cells = np.ones((len(few), len(self._centres)), dtype=bool)
            for row, places in zip(few, self._highest(turned[few], all_cells, count, everything), strict=True):
                found[row] = places
        return found

    def _looked_into(self, turned: Vectors) -> npt.NDArray[np.bool_]:
        """Return (queries, cells): the cells whose centres have the highest products."""
        total = len(self._centres)
        count = min(total, math.ceil(max(_LEAST_CELLS, _SHARE * total) * self.width / LEAST_WIDTH))
        products = turned @ self._centres.T
        looked = np.zeros(products.shape, dtype=bool)
        np.put_along_axis(looked, np.argpartition(-products, count - 1, axis=1)[:, :count], True, axis=1)
        return looked

    def _highest(
        self, turned: Vectors, looked: npt.NDArray[np.bool_], count: int, floor: Vectors
    ) -> list[npt.NDArray[np.int64]]:
        """Return for each short query the places, ascending, of its `count` highest products above a floor."""
        parts = [self._above(turned, floor, *part) for part in self._parts(looked)]
        rows, numbers, products = (np.concatenate(each) for each in zip(*parts, strict=True))
        order = np.argsort(rows, kind="stable")
        ends = np.searchsorted(rows[order], np.arange(1, len(turned)))
        each = zip(np.split(self._places[numbers[order]], ends), np.split(products[order], ends), strict=True)
        return [np.sort(own[_rows_of_highest(of, count)]) for own, of in each]

    def _parts(self, looked: npt.NDArray[np.bool_]) -> Iterator[tuple[npt.NDArray[np.int64], slice]]:
        """Yield the rows of queries that look into a cell, and where a part of it lies."""
        for cell, (start, end) in enumerate(itertools.pairwise(self._starts)):
            rows = np.flatnonzero(looked[:, cell])
            for at in range(start, end, _COLUMNS):
                yield rows, slice(at, min(at + _COLUMNS, end))

    def _above(
        self, turned: Vectors, floor: Vectors, rows: npt.NDArray[np.int64], part: slice
    ) -> tuple[npt.NDArray[Any], ...]:
        products = turned[rows] @ self._short[part].T
        above, columns = np.divmod(np.flatnonzero(products >= floor[rows, None]), products.shape[1])
        return rows[above], columns + part.start, products[above, columns]

    def _floor(self, turned: Vectors, count: int) -> Vectors:
        """Return for each short query a product that `count` vectors or more reach, as some of them tell."""
        step = max(1, len(self._short) // _TASTE)
        tasted = turned @ self._short[::step].T
        wanted = min(count * _MORE, len(self._short)) / step
        # Four standard deviations more, of a number that is Poisson's where vectors lie in no order.
        rank = min(tasted.shape[1], int(np.ceil(wanted + 4 * wanted**0.5 * (step > 1))))
        return np.asarray(np.partition(tasted, -rank, axis=1)[:, -rank])


def _directions(vectors: MappedVectors) -> Vectors:
    dimension = vectors.dimension
    sample = vectors.at(np.unique(np.linspace(0, len(vectors) - 1, _SAMPLE).astype(np.int64)))
    _, directions = np.linalg.eigh((sample.T @ sample).astype(np.float64))
    kept = min(dimension, max(_LEAST_SHORT, dimension // _SHORTER))
    return np.ascontiguousarray(directions[:, ::-1][:, :kept], dtype=np.float32)


def _cells(short: Vectors) -> tuple[Vectors, npt.NDArray[np.int32]]:
    """Return the centres of the cells, and of each vector the number of its own."""
    from sklearn.cluster import KMeans  # takes a second to import
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    count = min(len(short), 2 * math.isqrt(len(short)))
    sample = short[np.unique(np.linspace(0, len(short) - 1, _OF_A_CELL * count).astype(np.int64))]
    # One thread, for several add up in any order, and the same vectors shall lie in the same cells.
    with threadpool_limits(1), warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
        found = KMeans(count, init="random", n_init=1, max_iter=_ROUNDS, random_state=0).fit(sample)
        return found.cluster_centers_, found.predict(short)


def _rows_of_highest(products: Vectors, count: int) -> npt.NDArray[np.int64]:
    return np.argpartition(-products, count - 1)[:count] if len(products) > count else np.arange(len(products))
