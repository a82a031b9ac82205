import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from dragon_finetune.evaluation.statistics import detectable_gain, holm, paired_test

QUESTIONS = 100
DRAWS = 2000


def draw(rng: np.random.Generator, gain: float) -> tuple[np.ndarray, np.ndarray]:
    """Rubric scores of one run and of another that is better by `gain` in truth: 1 to 5, most of them equal."""
    base = rng.integers(1, 6, QUESTIONS)
    step = rng.choice([-2, -1, 0, 0, 0, 1, 2], QUESTIONS)
    improved = rng.random(QUESTIONS) < gain
    return base.astype(float), base + step + improved  # the scale's ends are left open, so that the truth is known


@pytest.mark.slow
def test_under_no_difference_the_interval_excludes_zero_in_5_percent():
    rng = np.random.default_rng(1)
    tests = [paired_test(*draw(rng, 0), seed=n, resamples=1000) for n in range(DRAWS)]
    assert 0.035 <= sum(map(excludes_zero, tests)) / DRAWS <= 0.065
    assert 0.035 <= sum(test.p < 0.05 for test in tests) / DRAWS <= 0.065


@pytest.mark.slow
def test_a_true_gain_is_found_as_often_as_computed():
    rng = np.random.default_rng(3)
    gain = float(np.mean([detectable_gain(np.subtract(*draw(rng, 0)[::-1])) for _ in range(200)]))
    found = sum(paired_test(*draw(rng, gain), seed=n, resamples=1000).low > 0 for n in range(DRAWS))
    # The gain adds a little spread of its own, so a little less than the power of 0.8.
    assert 0.74 <= found / DRAWS <= 0.84


def excludes_zero(test):
    return test.low > 0 or test.high < 0


SCORES = st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=1, max_size=60)


@given(SCORES, st.integers(0, 3))
def test_a_comparison_is_antisymmetric_and_lies_in_its_interval(scores, seed):
    base, tuned = (np.array(column) for column in zip(*scores, strict=True))
    forth, back = paired_test(base, tuned, seed=seed), paired_test(tuned, base, seed=seed)
    assert forth.low <= forth.difference <= forth.high
    assert forth.difference == -back.difference
    assert forth.p == back.p
    assert (forth.better, forth.equal, forth.worse) == (back.worse, back.equal, back.better)
    assert forth.probability == pytest.approx(1 - back.probability)


def test_a_p_value_is_scipys():
    rng = np.random.default_rng(4)
    base, tuned = rng.normal(size=40), rng.normal(0.3, size=40)
    theirs = stats.permutation_test(
        (tuned - base,), np.mean, permutation_type="samples", n_resamples=20_000, rng=rng
    ).pvalue
    assert paired_test(base, tuned).p == pytest.approx(theirs, abs=0.01)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_is_scipys_step_down(ps):
    order = sorted(range(len(ps)), key=ps.__getitem__)
    slow = [0.0] * len(ps)
    for rank, place in enumerate(order):
        slow[place] = min(1.0, max((len(ps) - k) * ps[order[k]] for k in range(rank + 1)))
    assert holm(ps) == pytest.approx(slow)


def test_no_questions_are_refused():
    with pytest.raises(ValueError, match="no questions"):
        paired_test([], [])
