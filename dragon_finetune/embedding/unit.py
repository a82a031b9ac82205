"""Vectors of unit length, pooled from pieces, and the check that they have one."""

from collections.abc import Sequence

import numpy as np

from dragon_finetune.embedding.engine import Vectors
from dragon_finetune.errors import ModelError

_TOLERANCE = 1e-3


def unit(vectors: Vectors) -> Vectors:
    """Return the vectors, (texts, dimension), scaled to length 1; one of length zero stays as it is."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: Vectors = np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0)
    return scaled


def pooled(pieces: Vectors, owners: Sequence[int], tokens: Sequence[int], texts: int) -> Vectors:
    """Return a unit vector per text: the mean of its pieces' vectors, weighted by their tokens.

    Args:
        pieces: (pieces, dimension).
        owners: of each piece the text that it is of.
        tokens: of each piece.
        texts: how many there are.
    """
    sums = np.zeros((texts, pieces.shape[1]), dtype=np.float32)
    np.add.at(sums, np.asarray(owners, dtype=np.intp), pieces * np.asarray(tokens, dtype=np.float32)[:, None])
    return unit(sums)


def require_sound(vectors: Vectors, texts: Sequence[str]) -> Vectors:
    """Return the vectors if each has length 1, else raise ModelError naming the first text whose has not."""
    norms = np.linalg.norm(vectors, axis=1)
    bad = np.flatnonzero(~(np.abs(norms - 1) < _TOLERANCE))
    if bad.size:
        index = int(bad[0])
        raise ModelError(
            f"{bad.size} vectors are not finite or have no direction; the first is of text {index} "
            f"({texts[index][:60]!r}, norm {norms[index]}). The model is damaged: train or copy it again."
        )
    return vectors
