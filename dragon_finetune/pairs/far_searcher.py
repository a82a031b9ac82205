"""BM25 and the base model over more passages than can be compared with every query: a search that overlooks some.

What it overlooks is measured on each run (`recall`). Memory holds short copies of the vectors (`neighbours`) and what
is looked at of the vectors and of BM25's scores, which are mapped from files.
"""

import itertools
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from dragon_finetune.index.mapped import MappedVectors
from dragon_finetune.overlap import words
from dragon_finetune.pairs.corpus import Corpus
from dragon_finetune.pairs.far_lexical import Candidates, FarLexical
from dragon_finetune.pairs.fusion import fused, nearest
from dragon_finetune.pairs.neighbours import Neighbours
from dragon_finetune.pairs.recall import measured
from dragon_finetune.pairs.recalled import Recall
from dragon_finetune.pairs.search import Answer

if TYPE_CHECKING:
    from dragon_finetune.embedding.embedder import FineTunedEmbedder

_LEAST_DEPTH = 256
_QUERIES_AT_ONCE = 512
_WORDS_KEPT = 65_536


class FarSearcher:
    """BM25 and the base model over a large corpus. A `search.Search`; of equal passages it finds the first.

    Args:
        corpus: the passages.
        embedder: of the base.
        folder: keeps the vectors of passages and queries, so that nothing is embedded twice after a kill, and BM25.
    """

    def __init__(self, corpus: Corpus, embedder: "FineTunedEmbedder", folder: Path) -> None:
        self.corpus, self.embedder, self._folder = corpus, embedder, folder
        self.depth = _LEAST_DEPTH
        """Candidates of each of the two searches whose scores are added."""
        self.recalls: dict[str, Recall] = {}
        numbers: dict[str, int] = {}
        of_place = [numbers.setdefault(passage.text, len(numbers)) for passage in corpus.passages]
        self.texts = list(numbers)
        self._number = np.array(of_place, dtype=np.int32)
        self.places = np.unique(self._number, return_index=True)[1].astype(np.int32)
        """Of each different text the place of the first passage that has it."""
        self._words_of = lru_cache(_WORDS_KEPT)(lambda place: words(corpus.passages[place].text))

    @cached_property
    def vectors(self) -> MappedVectors:
        """The vectors of the different texts."""
        return MappedVectors(self._folder / "passages", self.texts, self.embedder)

    @cached_property
    def neighbours(self) -> Neighbours:
        """Their short copies."""
        return Neighbours(self.vectors)

    @cached_property
    def lexical(self) -> FarLexical:
        """BM25 over the different texts."""
        return FarLexical(self.texts, self.corpus.often, self._folder / "bm25")

    @cached_property
    def mean(self) -> npt.NDArray[np.float64]:
        """The mean vector."""
        total = sum(block.sum(axis=0, dtype=np.float64) for _, block in self.vectors.blocks())
        return np.asarray(total / len(self.texts))

    def ask(self, queries: Sequence[str], *, kept_as: str, depth: int) -> Iterator[Answer]:
        """Yield the answer to each query: see `search.Search`. First the recall is measured on some of them."""
        if not queries:
            return
        asked = MappedVectors(self._folder / f"queries of {kept_as}", queries, self.embedder, role="query")
        self.recalls[kept_as] = measured(self, queries, asked, depth)
        for first, vectors in asked.blocks():
            for start in range(0, len(vectors), _QUERIES_AT_ONCE):
                block = vectors[start : start + _QUERIES_AT_ONCE]
                yield from self.answers(queries[first + start : first + start + len(block)], block, depth)

    def answers(self, queries: Sequence[str], vectors: npt.NDArray[np.float32], depth: int = 0) -> Iterator[Answer]:
        """Yield the answers to queries whose vectors are known, of which so many of the nearest will be asked for."""
        depth = max(self.depth, depth)
        near = [places.astype(np.int32) for places in self.neighbours.near(vectors, depth)]
        candidates = self.lexical.candidates(queries, near)
        scored = [each.best(depth) for each in candidates]
        chosen = [_rows(each, own, rows) for each, own, rows in zip(candidates, near, scored, strict=True)]
        numbers = [each.places[rows] for each, rows in zip(candidates, chosen, strict=True)]
        cosines = self.vectors.products(vectors, numbers)
        for row, each in enumerate(candidates):
            order = np.argsort(-cosines[row][np.searchsorted(numbers[row], near[row])], kind="stable")
            found = Found(
                numbers[row], cosines[row], each.scores[chosen[row]], near[row][order], each.places[scored[row]]
            )
            yield FarAnswer(self, vectors[row], found)

    def cosines_to(self, answers: Sequence[Answer], positives: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return the cosine of each answered query to its positive; a passage of the corpus is not embedded again."""
        unknown = list(dict.fromkeys(text for text in positives if text not in self._number_of))
        vectors = dict(zip(unknown, self.embedder.encode(unknown, role="document"), strict=True)) if unknown else {}
        rows = [vectors[text] if text in vectors else self.vectors.at([self._number_of[text]])[0] for text in positives]
        right: npt.NDArray[np.float32] = (np.stack([answer.vector for answer in answers]) * np.stack(rows)).sum(axis=1)
        return right

    @cached_property
    def _number_of(self) -> dict[str, int]:
        # Positives are stripped of the spaces around them.
        return {text.strip(): number for number, text in enumerate(self.texts)}

    def words_of(self, place: int) -> frozenset[str]:
        """Return the words of a passage."""
        return self._words_of(place)

    def numbers_of(self, places: Collection[int]) -> npt.NDArray[np.int32]:
        """Return the numbers of the texts of passages, sorted, each once."""
        found: npt.NDArray[np.int32] = np.unique(self._number[list(places)])
        return found


def _rows(candidates: Candidates, near: npt.NDArray[np.int32], scored: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the rows of what either search found, ascending."""
    found = np.zeros(len(candidates.places), dtype=bool)
    found[np.searchsorted(candidates.places, near)] = found[scored] = True
    return np.flatnonzero(found)


class Found(NamedTuple):
    """What both searches find for one query: numbers of texts.

    Attributes:
        numbers: all, ascending.
        cosines, lexical: the base's and BM25's scores of these.
        nearest, scored: what each ranks first, the best first.
    """

    numbers: npt.NDArray[np.int32]
    cosines: npt.NDArray[np.float32]
    lexical: npt.NDArray[np.float32]
    nearest: npt.NDArray[np.int32]
    scored: npt.NDArray[np.int32]


@dataclass
class FarAnswer:
    """What is found for one query among the nearest and the best of BM25."""

    search: FarSearcher
    vector: npt.NDArray[np.float32]
    found: Found

    def best(self, count: int, without: Collection[int] = ()) -> list[int]:
        """Return the places that both rank first: see `search.Answer`."""
        search, found, own = self.search, self.found, self.search.numbers_of(without)
        total = len(search.texts) * float(search.mean @ self.vector)
        others = total - float((search.vectors.at(own) @ self.vector).sum())
        mean = others / max(1, len(search.texts) - len(own))
        out = np.isin(found.numbers, own)
        scores = fused(found.cosines, found.lexical, np.flatnonzero(out), mean=mean)
        return [int(search.places[found.numbers[row]]) for row in nearest(scores, count) if not out[row]]

    def near(self, count: int, without: Collection[int] = ()) -> list[int]:
        """Return the places that the base ranks first: see `search.Answer`."""
        own = set(self.search.numbers_of(without).tolist())
        return [int(self.search.places[number]) for number in self.found.nearest[:count].tolist() if number not in own]

    def candidates(self, depth: int) -> list[int]:
        """Return places, those of BM25 and of the model by turns, each once."""
        turns = itertools.zip_longest(self.found.scored[:depth].tolist(), self.found.nearest[:depth].tolist())
        numbers = dict.fromkeys(number for turn in turns for number in turn if number is not None)
        return [int(self.search.places[number]) for number in numbers]

    def cosine(self, place: int) -> float:
        """Return the base's cosine of the query to a passage that is among its candidates."""
        return self._cosines[place]

    @cached_property
    def _cosines(self) -> dict[int, float]:
        places = self.search.places[self.found.numbers].tolist()
        return dict(zip(places, self.found.cosines.tolist(), strict=True))
