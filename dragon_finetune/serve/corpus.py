"""The texts that the page searches: one matrix of unit vectors per model, searched exactly."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np

from dragon_finetune.chunks import ChunkRef
from dragon_finetune.embedding.engine import Vectors
from dragon_finetune.lexical.words import endings_of

_DIGITS = 6  # of a distance; what differs by less is the rounding of float32


class Found(NamedTuple):
    """A chunk's place in the corpus, and its distance: squared L2 of unit vectors, as the host's Chroma gives it."""

    place: int
    distance: float


@dataclass(frozen=True)
class Column:
    """What one model makes of the corpus.

    Attributes:
        vectors: (chunks, dimension), unit length.
        origin: what is to be said of where they are from.
        stale: a collection was given, and its vectors are not this model's.
    """

    vectors: Vectors
    origin: str = ""
    stale: bool = False


@dataclass(frozen=True)
class Corpus:
    """Texts to search.

    Attributes:
        name: what was given.
        chunks: the texts.
        columns: by the model's name.
        note: what else is to be said of it.
    """

    name: str
    chunks: Sequence[ChunkRef]
    columns: Mapping[str, Column]
    note: str = ""

    @cached_property
    def endings(self) -> Literal["english"] | None:
        """The language whose endings are taken off when words are compared (`lexical.words`)."""
        return endings_of(chunk.text for chunk in self.chunks)

    def nearest(self, model: str, query: Vectors, k: int) -> list[Found]:
        """Return the `k` chunks nearest to a query, nearest first; of equally near ones the earlier first.

        Args:
            model: its name.
            query: (dimension,), unit length.
            k: at least 1.
        """
        cosines = (self.columns[model].vectors @ query).astype(np.float64)
        distances = np.maximum(np.round(2 - 2 * cosines, _DIGITS), 0)
        k = min(k, len(distances))
        near = np.flatnonzero(distances <= np.partition(distances, k - 1)[k - 1])
        best = near[np.argsort(distances[near], kind="stable")][:k]
        return [Found(place, float(distances[place])) for place in best.tolist()]
