"""Ranking metrics of one question, and which chunks are relevant to it."""

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

RECALL_AT = (1, 3, 5, 10)
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


@dataclass(frozen=True)
class Ranking:
    """How well one question's relevant chunks were ranked; all 0 to 1.

    Attributes:
        recall: k -> share of the relevant chunks among the first k.
        mrr: 1 / rank of the first relevant chunk among the first 10, 0 without one.
        ndcg: nDCG@10, binary (Järvelin & Kekäläinen 2002).
        average_precision: AP@10: mean precision at the relevant ranks, over min(10, number of relevant chunks).
        relevant: how many relevant chunks there are.
    """

    recall: dict[int, float]
    mrr: float
    ndcg: float
    average_precision: float
    relevant: int


def rank(retrieved: Sequence[Hashable], relevant: Collection[Hashable]) -> Ranking | None:
    """Return the metrics of one ranking, best first; None if nothing is relevant: then there is nothing to find."""
    if not relevant:
        return None
    hits = np.array([item in relevant for item in retrieved[: max(10, *RECALL_AT)]], dtype=bool)
    top = hits[:10]
    ranks = np.flatnonzero(top) + 1
    best = min(len(relevant), 10)
    return Ranking(
        recall={k: float(hits[:k].sum() / len(relevant)) for k in RECALL_AT},
        mrr=float(1 / ranks[0]) if len(ranks) else 0.0,
        ndcg=float((1 / np.log2(ranks + 1)).sum() / _ideal(best)),
        average_precision=float((np.arange(1, len(ranks) + 1) / ranks).sum() / best),
        relevant=len(relevant),
    )


def ndcg_at_10(scores: npt.NDArray[Any], right: Sequence[int]) -> float:
    """Return nDCG@10 with binary relevance (Järvelin & Kekäläinen 2002; gain 1, discount log2(rank + 1)).

    Args:
        scores: one per passage; higher is nearer. Ties go to the lower index.
        right: indices of the relevant passages.
    """
    top = np.argsort(-scores, kind="stable")[:10]
    gains = np.isin(top, right) / np.log2(np.arange(2, len(top) + 2))
    return float(gains.sum() / _ideal(min(len(right), 10)))


def _ideal(count: int) -> float:
    return float((1 / np.log2(np.arange(2, count + 2))).sum())


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


def mean_metrics(rankings: Collection[Ranking]) -> dict[str, float]:
    """Return the mean of each metric over questions, by its usual name; {} of none."""
    if not rankings:
        return {}
    values = {f"recall@{k}": [ranking.recall[k] for ranking in rankings] for k in RECALL_AT}
    values["MRR@10"] = [ranking.mrr for ranking in rankings]
    values["nDCG@10"] = [ranking.ndcg for ranking in rankings]
    values["MAP@10"] = [ranking.average_precision for ranking in rankings]
    return {name: float(np.mean(each)) for name, each in values.items()}


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
