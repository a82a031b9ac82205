"""What queries that are not trained on say of a model, and whether a difference is more than chance."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

Scores = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Judgement:
    """What one look gave: nDCG@10 of each query, 0 to 1, float64.

    Attributes:
        dense: by the model alone.
        joined: with the words of the corpus (`lexical`); None where it has no words.
        with_words: whether the folder that is made has words, so that `joined` decides.
        spread: mean cosine between different passages; near 1 when all vectors point one way.
    """

    dense: Scores
    joined: Scores | None
    with_words: bool
    spread: float

    @classmethod
    def together(cls, parts: Sequence["Judgement"]) -> "Judgement":
        """Return what several sets of queries say, each of its own model."""
        joined = [part.joined for part in parts if part.joined is not None]
        return cls(
            np.concatenate([part.dense for part in parts]),
            np.concatenate(joined) if len(joined) == len(parts) else None,
            parts[0].with_words,
            max(part.spread for part in parts),
        )

    @property
    def ndcg(self) -> Scores:
        """What decides: as the folder will search."""
        return self.joined if self.with_words and self.joined is not None else self.dense

    @property
    def mean(self) -> float:
        """Mean nDCG@10 over the queries, of what decides."""
        return float(self.ndcg.mean())


def paired_p(better: Scores, worse: Scores, *, seed: int = 0, draws: int = 10_000) -> float:
    """Return the one-sided p of a paired sign-flip permutation test that `better` is no better than `worse`."""
    difference = better - worse
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=(draws, len(difference)))
    # The observed one counts as a draw (Davison & Hinkley 1997, 4.2.5), so p is never 0.
    return float((1 + ((signs * difference).mean(axis=1) >= difference.mean() - 1e-12).sum()) / (draws + 1))


Judge = Callable[["SentenceTransformer"], Judgement]
