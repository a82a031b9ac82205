"""What the guard calls better, worse, and neither."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from dragon_finetune.training.blend import decide
from dragon_finetune.training.judgement import Judgement


def said(scores):
    return Judgement(np.array(scores, dtype=np.float64), None, False, 0.1)


def verdict_of(differences):
    base = np.full(len(differences), 0.5)
    return decide(said(base), {"tuned": said(base + differences)}, tried=1)[0]


def test_a_mean_below_the_base_that_chance_explains_is_not_called_worse():
    # The guard on abstracts of another collection: -0.006 of 42 queries, where unseen queries gained +0.030.
    verdict = verdict_of(np.random.default_rng(0).normal(-0.006, 0.05, 42))
    assert verdict.difference < 0 < verdict.high
    assert (verdict.outcome, verdict.name) == ("can't tell", "base")


def test_what_lies_below_the_base_with_its_interval_is_worse():
    assert verdict_of(np.random.default_rng(0).normal(-0.1, 0.05, 42)).outcome == "worse"


@given(st.lists(st.floats(-0.5, 0.5), min_size=5, max_size=40))
@settings(max_examples=50)
def test_the_word_agrees_with_the_interval(differences):
    verdict = verdict_of(np.array(differences))
    assert (verdict.outcome == "worse") == (verdict.high < 0)
    assert (verdict.name == "tuned") == (verdict.outcome == "better")
