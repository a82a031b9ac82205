"""Two runs over the same questions: the mean difference, never without its interval."""

from dataclasses import dataclass

import numpy as np

from dragon_finetune.errors import DataError
from dragon_finetune.evaluation.rubric import Evaluation

_RESAMPLES = 10_000


@dataclass(frozen=True)
class Comparison:
    """A paired comparison of rubric scores.

    Attributes:
        difference: mean of tuned - base over questions.
        low, high: its 95% interval.
        better, equal, worse: numbers of questions.
    """

    base: float
    tuned: float
    difference: float
    low: float
    high: float
    better: int
    equal: int
    worse: int
    seed: int

    def __str__(self) -> str:
        return (
            f"base {self.base:.2f}, tuned {self.tuned:.2f}: difference {self.difference:+.2f}, 95% interval "
            f"[{self.low:+.2f}, {self.high:+.2f}] (paired bootstrap over questions, seed {self.seed}); "
            f"{self.better} better, {self.equal} equal, {self.worse} worse"
        )


def compare(base: Evaluation, tuned: Evaluation, *, seed: int = 0) -> Comparison:
    """Return the paired difference of two evaluations with its 95% percentile bootstrap interval.

    The bootstrap resamples questions with replacement, 10,000 times (Efron & Tibshirani, An Introduction to the
    Bootstrap, 1993, ch. 13).

    Raises:
        DataError: the two runs are not over the same questions.
    """
    if base.scores.keys() != tuned.scores.keys():
        odd = sorted(map(str, base.scores.keys() ^ tuned.scores.keys()))[:5]
        raise DataError(
            f"the two results are over different questions (for instance {', '.join(odd)}). Run both again."
        )
    differences = np.array([tuned.scores[key].score - base.scores[key].score for key in base.scores], dtype=np.float64)
    rng = np.random.default_rng(seed)
    means = differences[rng.integers(0, differences.size, (_RESAMPLES, differences.size))].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return Comparison(
        base=base.mean,
        tuned=tuned.mean,
        difference=float(differences.mean()),
        low=float(low),
        high=float(high),
        better=int((differences > 0).sum()),
        equal=int((differences == 0).sum()),
        worse=int((differences < 0).sum()),
        seed=seed,
    )
