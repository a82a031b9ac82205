"""What the makers of pairs ask of a search over the corpus, exact (`searcher`) or approximate (`far_searcher`)."""

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from dragon_finetune.pairs.corpus import Corpus
from dragon_finetune.pairs.recalled import Recall

if TYPE_CHECKING:
    from dragon_finetune.embedding.embedder import FineTunedEmbedder


class Answer(Protocol):
    """What is found for one query; places are those of the corpus's passages."""

    @property
    def vector(self) -> npt.NDArray[np.float32]:
        """The query's unit vector."""

    def best(self, count: int, without: Collection[int] = ()) -> list[int]:
        """Return the places that BM25 and the base together rank first, but for those `without`."""

    def near(self, count: int, without: Collection[int] = ()) -> list[int]:
        """Return the places that the base ranks first, but for those `without`."""

    def candidates(self, depth: int) -> list[int]:
        """Return places, those of BM25 and of the model by turns, each once."""

    def cosine(self, place: int) -> float:
        """Return the base's cosine of the query to a passage."""


class Search(Protocol):
    """BM25 and the base model over one corpus."""

    corpus: Corpus
    embedder: "FineTunedEmbedder"
    recalls: dict[str, Recall]

    def ask(self, queries: Sequence[str], *, kept_as: str, depth: int) -> Iterator[Answer]:
        """Yield the answer to each query.

        Args:
            queries: in the order of the answers.
            kept_as: for what they are asked; under this name a search may keep their vectors.
            depth: how deep the answers will be looked at.
        """

    def cosines_to(self, answers: Sequence[Answer], positives: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return the cosine of each answered query to its positive."""

    def words_of(self, place: int) -> frozenset[str]:
        """Return the words of a passage."""
