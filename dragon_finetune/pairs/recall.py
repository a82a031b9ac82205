"""How much of what comparing all would find an approximate search finds, measured on some of its queries."""

import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from dragon_finetune.index.mapped import MappedVectors
from dragon_finetune.pairs.far_lexical import MOST_CHAMPIONS, FarLexical
from dragon_finetune.pairs.fusion import fused, nearest
from dragon_finetune.pairs.neighbours import MOST_WIDTH, Neighbours
from dragon_finetune.pairs.recalled import TOP, Recall
from dragon_finetune.pairs.search import Answer

WANTED = 0.98
"""Recall below which the search looks wider."""
_SAMPLE = 128
_QUERIES_AT_ONCE = 16  # whose scores of the whole corpus are held
MOST_DEPTH = 1024  # candidates of each search whose scores are added
_EQUAL = 1e-5  # cosines that another order of adding may put in another order


class Widening(Protocol):
    """A search that can be made to look wider: see `far_searcher.FarSearcher`."""

    depth: int
    texts: list[str]
    places: npt.NDArray[np.int32]

    @property
    def vectors(self) -> MappedVectors: ...

    @property
    def neighbours(self) -> Neighbours: ...

    @property
    def lexical(self) -> FarLexical: ...

    def answers(self, queries: Sequence[str], vectors: Any) -> Iterator[Answer]: ...


@dataclass(frozen=True)
class _Truth:
    query: str
    vector: npt.NDArray[np.float32]
    least_cosine: float
    least_score: float
    scored: int
    first: frozenset[int]


def measured(search: Widening, queries: Sequence[str], asked: MappedVectors, depth: int) -> Recall:
    """Return the search's recall over a sample of queries; where it is below `WANTED` the search is widened first.

    Warns where the widest search is still below it.

    Args:
        search: widened in place.
        queries: with their vectors `asked`.
        depth: how deep both lists are looked at.
    """
    depth = min(depth, len(search.texts))
    chosen = np.linspace(0, len(queries) - 1, min(_SAMPLE, len(queries))).round().astype(int)
    truths = list(_truths(search, [queries[place] for place in chosen], asked.at(chosen), depth))
    while True:
        recall = _recall(search, truths, depth)
        if not _widened(search, recall):
            break
    if min(recall.near, recall.words, recall.both) < WANTED:
        warnings.warn(f"{recall}: below {WANTED}, as wide as it looks. Some pairs miss a nearer passage.", stacklevel=2)
    return recall


def _widened(search: Widening, recall: Recall) -> bool:
    """Make whichever part finds too little look wider by a quarter; False if none can or need."""
    near = recall.near < WANTED and recall.width < MOST_WIDTH
    words = recall.words < WANTED and recall.champions < MOST_CHAMPIONS
    # What is far down both lists can be high in their sum.
    both = recall.both < WANTED and recall.added < MOST_DEPTH and not near and not words
    if near:
        search.neighbours.width = _wider(recall.width, MOST_WIDTH)
    if words:
        search.lexical.champions = _wider(recall.champions, MOST_CHAMPIONS)
    if both:
        search.depth = _wider(recall.added, MOST_DEPTH)
    return near or words or both


def _wider(count: int, most: int) -> int:
    return min(most, math.ceil(count * 1.25))


def _truths(search: Widening, queries: Sequence[str], vectors: Any, depth: int) -> Iterator[_Truth]:
    for start in range(0, len(queries), _QUERIES_AT_ONCE):
        some = vectors[start : start + _QUERIES_AT_ONCE]
        rows = np.concatenate([some @ block.T for _, block in search.vectors.blocks()], axis=1)
        for query, vector, cosines in zip(queries[start : start + _QUERIES_AT_ONCE], some, rows, strict=True):
            scores = search.lexical.scores(query)
            scored = min(depth, int(np.count_nonzero(scores)))
            least = float(np.partition(scores, -scored)[-scored]) if scored else 0.0
            first = frozenset(nearest(fused(cosines, scores), TOP))
            yield _Truth(query, vector, float(np.partition(cosines, -depth)[-depth]), least, scored, first)


def _recall(search: Widening, truths: Sequence[_Truth], depth: int) -> Recall:
    near, words, both = [], [], []
    queries, vectors = [truth.query for truth in truths], np.stack([truth.vector for truth in truths])
    found = search.neighbours.nearest(vectors, depth)
    scored = search.lexical.candidates(queries)
    answers = search.answers(queries, vectors)
    for truth, numbers, lexical, answer in zip(truths, found, scored, answers, strict=True):
        cosines = search.vectors.at(numbers) @ truth.vector
        near.append(np.count_nonzero(cosines >= truth.least_cosine - _EQUAL) / depth)
        if truth.scored:
            scores = lexical.scores[lexical.best(depth)]
            words.append(np.count_nonzero(scores >= truth.least_score - _EQUAL) / truth.scored)
        places = {int(search.places[number]) for number in truth.first}
        both.append(len(places & set(answer.best(TOP))) / len(places))
    return Recall(
        len(truths),
        depth,
        float(np.mean(near)),
        float(np.mean(words)) if words else 1.0,
        float(np.mean(both)),
        search.neighbours.width,
        search.lexical.champions,
        search.depth,
    )
