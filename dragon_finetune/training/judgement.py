"""What held-back queries say of a model, and whether a difference is more than chance."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

Scores = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Judgement:
    """What one look at the held-back pairs gave.

    Attributes:
        ndcg: nDCG@10 of each query, 0 to 1, float64.
        spread: mean cosine between different passages; near 1 when all vectors point one way.
    """

    ndcg: Scores
    spread: float

    @property
    def mean(self) -> float:
        """Mean nDCG@10 over the queries."""
        return float(self.ndcg.mean())


def halves(count: int, seed: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return two disjoint sets of query indices that together are all: one to choose on, one to confirm on.

    A single query is in both.
    """
    if count < 2:
        return np.arange(count), np.arange(count)
    order = np.random.default_rng(seed).permutation(count)
    return np.sort(order[: count // 2]), np.sort(order[count // 2 :])


def paired_p(better: Scores, worse: Scores, *, seed: int = 0, draws: int = 10_000) -> float:
    """Return the one-sided p of a paired sign-flip permutation test that `better` is no better than `worse`."""
    difference = better - worse
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=(draws, len(difference)))
    # The observed one counts as a draw (Davison & Hinkley 1997, 4.2.5), so p is never 0.
    return float((1 + ((signs * difference).mean(axis=1) >= difference.mean() - 1e-12).sum()) / (draws + 1))


Judge = Callable[["SentenceTransformer"], Judgement]
