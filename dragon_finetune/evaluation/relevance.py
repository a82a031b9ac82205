"""Which chunks are relevant to a question, and how a run ranked them."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from dragon_finetune.evaluation.metrics import Ranking, rank

RELEVANT_FROM = 0.5
"""Share of a question's expected topics that a chunk must hold to count as relevant, where nobody has judged chunks."""


class Passage(Protocol):
    """A chunk of the corpus."""

    @property
    def id(self) -> str:
        """Its id in the chunk file."""
        ...

    @property
    def text(self) -> str:
        """Its text."""
        ...


class Relevance:
    """Which chunks of a corpus are relevant to a question; what was found out is kept.

    Relevant are the chunks of the question's `relevant_chunk_ids`, where somebody judged; else those that hold at least
    half of its expected topics, as substrings without case, which is how the host's rubric compares.

    Args:
        corpus: all chunks (anything with `id` and `text`).
    """

    def __init__(self, corpus: Sequence[Passage]) -> None:
        self._places: dict[str, int] = {}
        for place, chunk in enumerate(corpus):
            self._places.setdefault(chunk.text, place)
        self._ids = {chunk.id: self._places[chunk.text] for chunk in corpus}
        self._lowered = [text.lower() for text in self._places]
        self._distinct = list(self._places.values())
        self._known: dict[tuple[str, ...], frozenset[int]] = {}

    def place(self, text: str) -> int:
        """Return the place of a text in the corpus, -1 if it is not there."""
        return self._places.get(text, -1)

    def of(self, question: Mapping[str, Any]) -> frozenset[int]:
        """Return the places of the relevant chunks; of equal texts the first."""
        judged = question.get("relevant_chunk_ids")
        if judged is not None:
            return frozenset(self._ids[str(each)] for each in judged if str(each) in self._ids)
        topics = tuple(str(topic).lower() for topic in question["expected_topics"])
        if topics not in self._known:
            self._known[topics] = self._holding(topics)
        return self._known[topics]

    def _holding(self, topics: tuple[str, ...]) -> frozenset[int]:
        found = np.zeros(len(self._lowered), dtype=np.int64)
        for topic in topics:
            found += np.fromiter((topic in text for text in self._lowered), dtype=bool, count=len(self._lowered))
        rows = np.flatnonzero(found >= RELEVANT_FROM * len(topics))
        return frozenset(self._distinct[row] for row in rows.tolist())


def rank_results(results: Sequence[Mapping[str, Any]], relevance: Relevance) -> dict[Any, Ranking | None]:
    """Return question id -> the metrics of its retrieved chunks, None where the corpus holds nothing relevant.

    A retrieved chunk is known by its text; one that the corpus lacks is irrelevant.

    Args:
        results: questions with their `retrieved_chunks`, nearest first.
        relevance: of the corpus.
    """
    found: dict[Any, Ranking | None] = {}
    for result in results:
        retrieved = [relevance.place(str(chunk["text"])) for chunk in result["retrieved_chunks"]]
        found[result["question_id"]] = rank(list(dict.fromkeys(retrieved)), relevance.of(result))
    return found
