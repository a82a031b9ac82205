"""A linear map on the vectors of queries, so that texts that are embedded already are found better.

Each step is a ridge regression in closed form, towards the identity (Drift-Adapter, arXiv 2509.23471, fits such a map
from one model to another). What it regresses on is not a query's right passage, which most passages are near to, but
where the ranking loss wants the query's vector to go: towards its right passages, and away from those that it finds.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

_Matrix = npt.NDArray[np.float64]
# Chosen on the example codex and Oz (docs/training.md).
TEMPERATURE = 0.02
_STEPS = 5
_PENALTIES = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
_FOLDS = 5


def fit_map(queries: Any, passages: Any, right: Sequence[Sequence[int]], *, seed: int = 0) -> Any:
    """Return a map M, (dimension, dimension) float32, with which `query @ M` finds more; None: nothing does.

    How far it may go from the identity is chosen by queries that are left out, five parts in turn, a passage's queries
    together: by the share that their right passages have of a softmax over all passages, in logarithms.

    Args:
        queries: unit vectors, (queries, dimension).
        passages: unit vectors, (passages, dimension).
        right: of each query the places of the passages that answer it, at least one.
        seed: of the parts.
    """
    asked, texts = np.asarray(queries, dtype=np.float64), np.asarray(passages, dtype=np.float64)
    labels = np.zeros((len(asked), len(texts)))
    for row, places in enumerate(right):
        labels[row, list(places)] = 1 / len(places)
    shuffled = np.random.default_rng(seed).permutation(len(texts))
    folds = shuffled[[places[0] for places in right]] % _FOLDS
    if len(set(folds.tolist())) < 2:
        return None
    gains = {penalty: _left_out(asked, texts, labels, folds, penalty) for penalty in _PENALTIES}
    # Of equals the larger: it stays nearer to what is known to work.
    penalty = max(gains, key=lambda each: (gains[each], each))
    if gains[penalty] <= _likelihood(asked, texts, labels).mean():
        return None
    return _fitted(asked, texts, labels, penalty).astype(np.float32)


def _left_out(queries: _Matrix, passages: _Matrix, labels: _Matrix, folds: Any, penalty: float) -> float:
    found = np.empty(len(queries))
    for fold in set(folds.tolist()):
        out = folds == fold
        fitted = _fitted(queries[~out], passages, labels[~out], penalty)
        found[out] = _likelihood(queries[out] @ fitted, passages, labels[out])
    return float(found.mean())


def _fitted(queries: _Matrix, passages: _Matrix, labels: _Matrix, penalty: float) -> _Matrix:
    identity = np.eye(queries.shape[1])
    solve = np.linalg.inv(queries.T @ queries + penalty * identity)
    fitted = identity.copy()
    for _ in range(_STEPS):
        wanted = (labels - _softmax(queries @ fitted, passages)) @ passages
        fitted += solve @ (queries.T @ wanted - penalty * (fitted - identity))
    return fitted


def _likelihood(queries: _Matrix, passages: _Matrix, labels: _Matrix) -> _Matrix:
    unit = queries / np.linalg.norm(queries, axis=1, keepdims=True)
    shares: _Matrix = (_softmax(unit, passages) * (labels > 0)).sum(axis=1)
    logarithms: _Matrix = np.log(np.maximum(shares, 1e-12))
    return logarithms


def _softmax(queries: _Matrix, passages: _Matrix) -> _Matrix:
    scores = queries @ passages.T / TEMPERATURE
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares: _Matrix = powers / powers.sum(axis=1, keepdims=True)
    return shares
