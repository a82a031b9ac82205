"""Dense vectors and sketches joined into unit vectors whose cosine ranks as both scores together do.

A document is [sqrt(1-a) dense, sqrt(a) sketch, padding], the padding such that its length is 1 (Bachrach et al. 2014;
Neyshabur & Srebro 2015); a query is [sqrt(1-a) dense, sqrt(a) sketch, 0] made one long. For one query all cosines are
then (1-a) * dense cosine + a * dot product of the sketches, divided by one number.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]


def join_documents(dense: Any, sketches: Any, share: float) -> Vectors:
    """Return unit vectors, (texts, dense + sketch + 1), float32.

    Args:
        dense: unit vectors, (texts, dense).
        sketches: (texts, sketch), each at most 1 long.
        share: how much the sketches have to say, `a` above.
    """
    room = np.clip(1 - np.square(sketches, dtype=np.float64).sum(axis=1, keepdims=True), 0, None)
    return _unit([np.sqrt(1 - share) * dense, np.sqrt(share) * sketches, np.sqrt(share * room)])


def join_queries(dense: Any, sketches: Any, share: float) -> Vectors:
    """Return unit vectors, (texts, dense + sketch + 1), float32. Arguments as of `join_documents`, any length."""
    return _unit([np.sqrt(1 - share) * dense, np.sqrt(share) * sketches, np.zeros((len(dense), 1))])


def join_others(dense: Any, dimensions: int) -> Vectors:
    """Return texts that are neither, to be compared with their like: the dense vectors, and no words, one long."""
    return _unit([dense, np.zeros((len(dense), dimensions + 1))])


def dense_of(joined: Any, dimension: int) -> Vectors:
    """Return the directions of the dense parts, (texts, dimension), of joined vectors; a part of length 0 stays so."""
    part = np.asarray(joined)[:, :dimension]
    sizes = np.linalg.norm(part, axis=1, keepdims=True)
    directions: Vectors = np.divide(part, sizes, out=np.zeros_like(part), where=sizes > 0)
    return directions


def _unit(parts: list[Any]) -> Vectors:
    whole = np.concatenate([np.asarray(part, dtype=np.float64) for part in parts], axis=1)
    whole /= np.maximum(np.linalg.norm(whole, axis=1, keepdims=True), 1e-300)
    return whole.astype(np.float32)
