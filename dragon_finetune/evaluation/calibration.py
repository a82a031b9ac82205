"""The distance trap: a rubric that takes points by raw distance changes with the model, even at the same ranking."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dragon_finetune.errors import DataError
from dragon_finetune.evaluation.rubric import HOST_THRESHOLDS, Thresholds, score_question
from dragon_finetune.evaluation.scores import Evaluation


@dataclass(frozen=True)
class Calibration:
    """Thresholds for the tuned model that treat its distances as the host's treat those of the base.

    Attributes:
        thresholds: the proposed ones.
        base_beyond, tuned_beyond: shares of questions that lose a point by the host's thresholds, as (far, top_far).
        base: mean rubric of the base by the host's thresholds.
        tuned: mean rubric of the tuned model by the host's thresholds; `calibrated` by the proposed ones.
    """

    thresholds: Thresholds
    base_beyond: tuple[float, float]
    tuned_beyond: tuple[float, float]
    base: float
    tuned: float
    calibrated: float

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-safe values."""
        return asdict(self)

    def __str__(self) -> str:
        was = HOST_THRESHOLDS
        return (
            f"{'':<38} {'host':>7} {'for tuned':>10}\n"
            f"{'a chunk is far beyond':<38} {was.far:>7.3f} {self.thresholds.far:>10.3f}\n"
            f"{'the nearest chunk is too far beyond':<38} {was.top_far:>7.3f} {self.thresholds.top_far:>10.3f}\n"
            f"questions that lose a point for far chunks: base {self.base_beyond[0]:.0%}, tuned "
            f"{self.tuned_beyond[0]:.0%}; for the nearest: base {self.base_beyond[1]:.0%}, tuned "
            f"{self.tuned_beyond[1]:.0%}\n"
            f"score: base {self.base:.2f}, tuned {self.tuned:.2f} by the host's thresholds, {self.calibrated:.2f} by "
            "the proposed ones, which take from the tuned what the host's take from the base"
        )


def calibrate(base: Evaluation, tuned: Evaluation) -> Calibration:
    """Return thresholds of the tuned model at the quantiles that the host's have in the base model's distances.

    The rubric takes a point when the median distance of a question's chunks (more than half of them) or the nearest is
    beyond a threshold; each threshold is mapped in the distribution of that very distance over questions.

    Raises:
        DataError: a run retrieved nothing at all, or is judged by era B.
    """
    if "b" in (base.era.name, tuned.era.name):
        raise DataError("era B's score looks at no distance; there is nothing to calibrate.")
    far, top = (_median_distances(run) for run in (base, tuned)), (_top_distances(run) for run in (base, tuned))
    (base_far, tuned_far), (base_top, tuned_top) = tuple(far), tuple(top)
    thresholds = Thresholds(
        far=_same_quantile(base_far, tuned_far, HOST_THRESHOLDS.far),
        top_far=_same_quantile(base_top, tuned_top, HOST_THRESHOLDS.top_far),
    )
    scores = [
        score_question(question, question["retrieved_chunks"], thresholds).score
        for question in tuned.questions.values()
    ]
    return Calibration(
        thresholds=thresholds,
        base_beyond=_beyond(base_far, base_top),
        tuned_beyond=_beyond(tuned_far, tuned_top),
        base=base.mean,
        tuned=tuned.mean,
        calibrated=float(np.mean(scores)),
    )


def _beyond(far: npt.NDArray[np.float64], top: npt.NDArray[np.float64]) -> tuple[float, float]:
    return float((far > HOST_THRESHOLDS.far).mean()), float((top > HOST_THRESHOLDS.top_far).mean())


def _chunks(run: Evaluation) -> list[Sequence[Mapping[str, Any]]]:
    found = [question["retrieved_chunks"] for question in run.questions.values() if question["retrieved_chunks"]]
    if not found:
        raise DataError("a run retrieved no chunk for any question; there are no distances to calibrate. Index again.")
    return found


def _top_distances(run: Evaluation) -> npt.NDArray[np.float64]:
    return np.array([float(chunks[0]["distance"]) for chunks in _chunks(run)])


def _median_distances(run: Evaluation) -> npt.NDArray[np.float64]:
    # "More than half are farther than x" is: the lower median is farther than x.
    return np.array([sorted(float(c["distance"]) for c in chunks)[(len(chunks) - 1) // 2] for chunks in _chunks(run)])


def _same_quantile(base: npt.NDArray[np.float64], tuned: npt.NDArray[np.float64], threshold: float) -> float:
    within = float((base <= threshold).mean())
    if within == 1.0:  # no point was taken: keep as much room above the farthest
        return float(tuned.max() * threshold / base.max())
    if within == 0.0:
        return float(tuned.min() * threshold / base.min())
    ordered = np.sort(tuned)
    last = max(1, round(within * len(ordered)))
    # Halfway to the first that loses its point, so that rounding decides nothing.
    return float(ordered[last - 1] if last == len(ordered) else (ordered[last - 1] + ordered[last]) / 2)
