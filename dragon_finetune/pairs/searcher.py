"""BM25 and the base model over one corpus, every passage compared with every query."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dragon_finetune.overlap import words
from dragon_finetune.pairs.corpus import Corpus
from dragon_finetune.pairs.fusion import Lexical, fused, nearest
from dragon_finetune.pairs.recalled import Recall
from dragon_finetune.pairs.search import Answer

if TYPE_CHECKING:
    from dragon_finetune.embedding.embedder import FineTunedEmbedder

_QUERIES_AT_ONCE = 512


class Searcher:
    """BM25 and the base model over one corpus; both read it when first asked. A `search.Search`."""

    def __init__(self, corpus: Corpus, embedder: "FineTunedEmbedder") -> None:
        self.corpus, self.embedder = corpus, embedder
        self.recalls: dict[str, Recall] = {}
        """None: it finds everything."""
        self.texts = [passage.text for passage in corpus.passages]

    def ask(self, queries: Sequence[str], *, kept_as: str = "", depth: int = 0) -> Iterator[Answer]:
        """Yield the answer to each query, any depth: see `search.Search`."""
        for start in range(0, len(queries), _QUERIES_AT_ONCE):
            block = queries[start : start + _QUERIES_AT_ONCE]
            vectors = self._asked(block)
            for query, vector, cosines in zip(block, vectors, self._cosines(vectors), strict=True):
                yield _ExactAnswer(self, query, vector, cosines)

    @cached_property
    def words(self) -> list[frozenset[str]]:
        """The words of each passage."""
        return [words(text) for text in self.texts]

    def words_of(self, place: int) -> frozenset[str]:
        """Return the words of a passage."""
        return self.words[place]

    @cached_property
    def lexical(self) -> Lexical:
        """BM25 over the passages."""
        return Lexical(self.texts)

    @cached_property
    def _vectors(self) -> npt.NDArray[np.float32]:
        return self.embedder.encode(self.texts, role="document")

    def _asked(self, queries: Sequence[str]) -> npt.NDArray[np.float32]:
        return self.embedder.encode(list(queries), role="query")

    def _cosines(self, asked: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        scores: npt.NDArray[np.float32] = asked @ self._vectors.T
        return scores

    def cosines(self, queries: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return queries x corpus: cosines of the base."""
        return self._cosines(self._asked(queries))

    def cosines_to(self, answers: Sequence[Answer], positives: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return the cosine of each answered query to its positive."""
        asked = np.stack([answer.vector for answer in answers])
        right: npt.NDArray[np.float32] = (asked * self.embedder.encode(list(positives), role="document")).sum(axis=1)
        return right

    def fused(
        self, query: str, cosines: npt.NDArray[np.float32], without: Collection[int] = ()
    ) -> npt.NDArray[np.float64]:
        """Return a score per passage: see `fusion.fused`."""
        return fused(cosines, self.lexical.scores(query), without)


@dataclass(frozen=True)
class _ExactAnswer:
    search: Searcher
    query: str
    vector: npt.NDArray[np.float32]
    cosines: npt.NDArray[np.float32]

    def best(self, count: int, without: Collection[int] = ()) -> list[int]:
        places = nearest(self.search.fused(self.query, self.cosines, without), count)
        return [place for place in places if place not in without]

    def near(self, count: int, without: Collection[int] = ()) -> list[int]:
        return [place for place in nearest(self.cosines, count) if place not in without]

    def candidates(self, depth: int) -> list[int]:
        turns = zip(self.search.lexical.best(self.query, depth), nearest(self.cosines, depth), strict=True)
        return list(dict.fromkeys(place for turn in turns for place in turn))

    def cosine(self, place: int) -> float:
        return float(self.cosines[place])
