"""Ranking metrics of one question."""

from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

RECALL_AT = (1, 3, 5, 10)


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
        ndcg=float((1 / np.log2(ranks + 1)).sum() / ideal(best)),
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
    return float(gains.sum() / ideal(min(len(right), 10)))


def ideal(count: int) -> float:
    """Return the discounted gain of `count` relevant passages ranked first."""
    return float((1 / np.log2(np.arange(2, count + 2))).sum())


def mean_metrics(rankings: Collection[Ranking]) -> dict[str, float]:
    """Return the mean of each metric over questions, by its usual name; {} of none."""
    if not rankings:
        return {}
    values = {f"recall@{k}": [ranking.recall[k] for ranking in rankings] for k in RECALL_AT}
    values["MRR@10"] = [ranking.mrr for ranking in rankings]
    values["nDCG@10"] = [ranking.ndcg for ranking in rankings]
    values["MAP@10"] = [ranking.average_precision for ranking in rankings]
    return {name: float(np.mean(each)) for name, each in values.items()}
