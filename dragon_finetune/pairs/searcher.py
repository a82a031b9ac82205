"""BM25 and the base model over one corpus."""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dragon_finetune.overlap import words
from dragon_finetune.pairs.corpus import Corpus
from dragon_finetune.pairs.fusion import Lexical, fused, nearest

if TYPE_CHECKING:
    from dragon_finetune.embedding.embedder import FineTunedEmbedder


class Searcher:
    """BM25 and the base model over one corpus; both read it when first asked."""

    def __init__(self, corpus: Corpus, embedder: "FineTunedEmbedder") -> None:
        self.corpus, self.embedder = corpus, embedder
        self.texts = [passage.text for passage in corpus.passages]

    @cached_property
    def words(self) -> list[frozenset[str]]:
        """The words of each passage."""
        return [words(text) for text in self.texts]

    @cached_property
    def _lexical(self) -> Lexical:
        return Lexical(self.texts)

    @cached_property
    def _vectors(self) -> npt.NDArray[np.float32]:
        return self.embedder.encode(self.texts, role="document")

    def cosines(self, queries: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return queries x corpus: cosines of the base."""
        asked: npt.NDArray[np.float32] = self.embedder.encode(list(queries), role="query")
        scores: npt.NDArray[np.float32] = asked @ self._vectors.T
        return scores

    def cosines_to(self, queries: Sequence[str], positives: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return the cosine of each query to its positive."""
        asked = self.embedder.encode(list(queries), role="query")
        right: npt.NDArray[np.float32] = (asked * self.embedder.encode(list(positives), role="document")).sum(axis=1)
        return right

    def fused(
        self, query: str, cosines: npt.NDArray[np.float32], without: Sequence[int] = ()
    ) -> npt.NDArray[np.float64]:
        """Return a score per passage: see `fusion.fused`."""
        return fused(cosines, self._lexical.scores(query), without)

    def candidates(self, query: str, cosines: npt.NDArray[np.float32], depth: int) -> list[int]:
        """Return places of passages, those of BM25 and of the model by turns, each once."""
        turns = zip(self._lexical.best(query, depth), nearest(cosines, depth), strict=True)
        return list(dict.fromkeys(place for turn in turns for place in turn))
