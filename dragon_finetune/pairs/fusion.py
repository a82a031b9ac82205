"""Two searches as one: the base's cosines and BM25, with the same say."""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dragon_finetune.pairs.words import tokens


class Lexical:
    """BM25 over passages."""

    def __init__(self, texts: Sequence[str]) -> None:
        import bm25s

        self._passages = len(texts)
        self._bm25 = bm25s.BM25()
        self._bm25.index([tokens(text) for text in texts], show_progress=False)

    def scores(self, query: str) -> npt.NDArray[np.float32]:
        """Return a score per passage, 0 where it has no word of the query."""
        scores: npt.NDArray[np.float32] = self._bm25.get_scores(tokens(query))
        return scores

    def best(self, query: str, count: int) -> list[int]:
        """Return the places of the first passages, all of them if there are fewer."""
        # Threads would be started anew for every query.
        count = min(count, self._passages)
        found, _ = self._bm25.retrieve([tokens(query)], k=count, show_progress=False, n_threads=0)
        places: list[int] = found[0].tolist()
        return places


def fused(
    cosines: npt.NDArray[np.float32],
    lexical: npt.NDArray[Any],
    without: Collection[int] | npt.NDArray[Any] = (),
    *,
    mean: float | None = None,
) -> npt.NDArray[np.float64]:
    """Return a score per passage on the scale of the base's cosines, for one query.

    It is the mean of the cosine and of BM25's score, the latter stretched to the range from the mean cosine (nothing
    in common) to the best one (BM25's best): both have the same say, whatever the model's range or the corpus's size.
    (A convex combination of scores scaled to 0 to 1: Bruch et al. 2022, arXiv 2210.11934.) Where BM25 finds nothing
    it has no say, and the score is the cosine.

    Args:
        cosines: of the query to each passage.
        lexical: BM25's score of each passage.
        without: places of passages that are not there; their score is -inf.
        mean: of the cosines to the whole corpus, where only some of its passages are given: its best ones.
    """
    there = np.ones(len(cosines), dtype=bool)
    there[list(without)] = False
    if not there.any() or not lexical[there].any():
        return np.where(there, cosines, -np.inf)
    if mean is None:
        mean = float(cosines[there].mean())
    reach = float(cosines[there].max()) - mean
    stretched = mean + reach * np.asarray(lexical, dtype=np.float64) / float(lexical[there].max())
    return np.where(there, (cosines + stretched) / 2, -np.inf)


def nearest(scores: npt.NDArray[Any], count: int) -> list[int]:
    """Return the places of the highest scores, the highest first; of equals the earlier."""
    count = min(count, len(scores))
    if not count:
        return []
    lowest = np.partition(scores, -count)[-count]
    places = np.flatnonzero(scores >= lowest)
    found: list[int] = places[np.argsort(-scores[places], kind="stable")][:count].tolist()
    return found
