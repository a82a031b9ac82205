"""Paired statistics over questions: is a difference more than chance, and could this question set have shown it?"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

RESAMPLES = 10_000
_POWER = 0.8
Scores = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PairedTest:
    """What the same questions say about two runs.

    Attributes:
        difference: mean of tuned - base over questions, in the unit of the scores; `low` to `high` is its 95% interval.
        p: two-sided p of a paired sign-flip permutation test that there is no difference.
        probability: of improvement: share of bootstrap samples of the questions in which tuned is better.
        detectable: the smallest true gain that so many questions, spread like these, show in 4 of 5 cases (power 0.8,
            two-sided 5%); 0 if no question differs.
        better, equal, worse: numbers of questions.
        questions: how many.
        seed: of the resampling.
    """

    difference: float
    low: float
    high: float
    p: float
    probability: float
    detectable: float
    better: int
    equal: int
    worse: int
    questions: int
    seed: int

    @property
    def believable(self) -> bool:
        """True when the interval lies wholly above zero."""
        return self.low > 0

    def to_dict(self) -> dict[str, Any]:
        """Return the fields and `believable` as JSON-safe values."""
        return {**asdict(self), "believable": self.believable}

    def __str__(self) -> str:
        return (
            f"{self.difference:+.2f}, 95% interval [{self.low:+.2f}, {self.high:+.2f}], p {self.p:.4f}, probability of "
            f"improvement {self.probability:.3f}; {self.better} better, {self.equal} equal, {self.worse} worse "
            f"(paired over {self.questions} questions, seed {self.seed})"
        )


def paired_test(
    base: Sequence[float] | Scores, tuned: Sequence[float] | Scores, *, seed: int = 0, resamples: int = RESAMPLES
) -> PairedTest:
    """Return the paired comparison of two runs over the same questions.

    The interval is the percentile bootstrap over questions (Efron & Tibshirani 1993, ch. 13), with the percentiles
    moved out for small samples (Hesterberg 2015, "What Teachers Should Know About the Bootstrap"): without that it is
    too narrow. The p is that of a sign-flip permutation test (Fisher 1935; the observed outcome counts as one draw:
    Davison & Hinkley 1997, 4.2.5).

    Args:
        base, tuned: one score per question, in the same order.
        seed: of the resampling.
        resamples: number of bootstrap samples and of sign flips.

    Raises:
        ValueError: no scores, or not equally many.
    """
    difference = np.asarray(tuned, dtype=np.float64) - np.asarray(base, dtype=np.float64)
    count = len(difference)
    if count == 0:
        raise ValueError("no questions to compare")
    rng = np.random.default_rng(seed)
    means = np.sort(_bootstrap_means(difference, rng, resamples))
    tail = _small_sample_tail(count)
    low, high = np.quantile(means, [tail, 1 - tail])
    signs = rng.integers(0, 2, (resamples, count), dtype=np.int8) * 2 - 1
    flipped = np.abs(signs @ difference) / count
    extreme = int((flipped >= abs(difference.mean()) - 1e-12).sum())
    return PairedTest(
        difference=float(difference.mean()),
        low=float(low),
        high=float(high),
        p=(1 + extreme) / (1 + resamples),
        probability=float(((means > 0).sum() + (means == 0).sum() / 2) / resamples),
        detectable=detectable_gain(difference),
        better=int((difference > 0).sum()),
        equal=int((difference == 0).sum()),
        worse=int((difference < 0).sum()),
        questions=count,
        seed=seed,
    )


def _bootstrap_means(values: Scores, rng: np.random.Generator, resamples: int) -> Scores:
    # Drawing how often each question comes is the same as drawing questions, and a matrix product is faster.
    counts = rng.multinomial(len(values), np.full(len(values), 1 / len(values)), resamples)
    means: Scores = counts @ values / len(values)
    return means


def _small_sample_tail(count: int) -> float:
    from scipy.stats import norm, t

    if count < 2:
        return 0.025
    return float(norm.cdf(-np.sqrt(count / (count - 1)) * t.ppf(0.975, count - 1)))


def detectable_gain(difference: Scores) -> float:
    """Return the smallest mean gain that a test on questions spread like these finds in 4 of 5 cases.

    Normal approximation: (z_0.975 + z_0.8) * standard deviation / sqrt(n) (Cohen 1988, ch. 2).
    """
    from scipy.stats import norm

    if len(difference) < 2:
        return 0.0
    z = norm.ppf(0.975) + norm.ppf(_POWER)
    return float(z * difference.std(ddof=1) / np.sqrt(len(difference)))


def holm(ps: Sequence[float]) -> list[float]:
    """Return the p values corrected for having looked at all of them (Holm 1979), in the same order."""
    order = np.argsort(ps, kind="stable")
    corrected = [0.0] * len(ps)
    highest = 0.0
    for rank, place in enumerate(order.tolist()):
        highest = max(highest, min(1.0, (len(ps) - rank) * ps[place]))
        corrected[place] = highest
    return corrected
