"""Distances of retrieved chunks, of which a rubric takes points."""

import numpy as np
import numpy.typing as npt

from dragon_finetune.evaluation.scores import Evaluation

_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def all_distances(run: Evaluation) -> npt.NDArray[np.float64]:
    """Return the distances of all retrieved chunks of a run, question by question, float64; none in era B."""
    if run.era.name == "b":  # they need not be there, and of what BM25 found they are none
        return np.array([])
    return np.array(
        [float(chunk["distance"]) for question in run.questions.values() for chunk in question["retrieved_chunks"]]
    )


def quantiles(values: npt.NDArray[np.float64]) -> dict[str, float]:
    """Return the 5, 25, 50, 75 and 95% quantiles, {} of nothing."""
    if not len(values):
        return {}
    return {f"{share:.0%}": float(np.quantile(values, share)) for share in _QUANTILES}
