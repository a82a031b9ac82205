"""Two searches as one: the base's cosines, raised by what BM25 says."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


def fused(
    cosines: npt.NDArray[np.float32], lexical: npt.NDArray[Any], without: Sequence[int] = ()
) -> npt.NDArray[np.float64]:
    """Return a score per passage on the scale of the base's cosines, for one query.

    The passage that BM25 likes best is raised by as much as the base's best stands above its mean, others by their
    share of BM25's score: both searches have the same say, whatever the model's range or the corpus's size. (A convex
    combination of scores scaled to 0 to 1: Bruch et al. 2022, arXiv 2210.11934.)

    Args:
        cosines: of the query to each passage.
        lexical: BM25's score of each passage.
        without: places of passages that are not there; their score is -inf.
    """
    there = np.ones(len(cosines), dtype=bool)
    there[list(without)] = False
    if not there.any():
        return np.full(len(cosines), -np.inf)
    reach = float(cosines[there].max() - cosines[there].mean())
    raised = cosines + reach * np.asarray(lexical, dtype=np.float64) / max(float(lexical[there].max()), 1e-9)
    return np.where(there, raised, -np.inf)


def nearest(scores: npt.NDArray[Any], count: int) -> list[int]:
    """Return the places of the highest scores, the highest first; of equals the earlier."""
    count = min(count, len(scores))
    lowest = np.partition(scores, -count)[-count]
    places = np.flatnonzero(scores >= lowest)
    found: list[int] = places[np.argsort(-scores[places], kind="stable")][:count].tolist()
    return found
