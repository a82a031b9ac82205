"""The map on the vectors of queries."""

import numpy as np
import pytest

from dragon_finetune.training.linear import fit_map


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture
def corpus():
    """Passages, and queries that are their own passages turned alike; how many of the last 80 find theirs, by a map."""
    dice = np.random.default_rng(0)
    passages = unit(dice.normal(size=(240, 32))).astype(np.float32)
    turn = np.linalg.qr(np.eye(32) + 0.25 * dice.normal(size=(32, 32)))[0]
    turn *= np.sign(np.diag(turn))
    queries = unit(passages @ turn + 0.03 * dice.normal(size=passages.shape)).astype(np.float32)

    def found(linear):
        return float((np.argmax(queries[160:] @ linear @ passages.T, axis=1) == np.arange(160, 240)).mean())

    return queries, passages, found


def test_what_all_queries_have_in_common_is_learnt_of_others(corpus):
    queries, passages, found = corpus
    linear = fit_map(queries[:160], passages, [[place] for place in range(160)])
    assert linear.dtype == np.float32
    assert found(linear) > found(np.eye(32)) + 0.2
    np.testing.assert_array_equal(linear, fit_map(queries[:160], passages, [[place] for place in range(160)]))


def test_where_nothing_is_in_common_there_is_no_map(corpus):
    _, passages, _ = corpus
    noise = unit(np.random.default_rng(1).normal(size=(240, 32)))
    assert fit_map(unit(passages + 0.01 * noise)[:160], passages, [[place] for place in range(160)]) is None


def test_queries_of_one_passage_are_left_out_together_so_one_passage_gives_no_map(corpus):
    queries, passages, _ = corpus
    assert fit_map(queries[:5], passages, [[3]] * 5) is None


def test_a_query_may_have_several_right_passages(corpus):
    queries, passages, found = corpus
    linear = fit_map(queries[:160], passages, [[place, 239 - place] if place < 5 else [place] for place in range(160)])
    assert found(linear) > found(np.eye(32)) + 0.2
