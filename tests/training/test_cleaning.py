"""What cleaning may leave out, and what it must not lose."""

import pytest

from dragon_finetune.pair import Pair
from dragon_finetune.training.cleaning import clean_pairs

QUERY, POSITIVE = "who lit the lamp", "Jorun lit the lamp of the Oriel."


def test_rows_that_repeat_a_pair_with_other_negatives_give_all_of_them_to_the_first():
    rows = [Pair(QUERY, POSITIVE, (f"The tide of day {n} went out over the flats.",)) for n in range(5)]
    rows.append(Pair(QUERY.upper() + "?", POSITIVE, (*rows[0].negatives, "Nine knots of greywick hung at her belt.")))
    kept, dropped = clean_pairs(rows)
    assert [pair.query for pair in kept] == [QUERY]
    assert kept[0].negatives == (*(row.negatives[0] for row in rows[:5]), "Nine knots of greywick hung at her belt.")
    assert dropped["duplicate pairs"] == 5


def test_nearly_equal_pairs_keep_the_negatives_of_both():
    long = "Who lit the great bronze lamp of the Oriel on the night when the tide went out"
    rows = [Pair(long, POSITIVE, ("One.",)), Pair(long + " slowly", POSITIVE, ("Two.",))]
    kept, dropped = clean_pairs(rows)
    assert [pair.negatives for pair in kept] == [("One.", "Two.")]
    assert dropped["near-duplicate pairs"] == 1


@pytest.mark.parametrize("shared", ["query", "positive", "query and negatives"])
def test_pairs_that_share_a_text_cost_work_in_step_with_their_number(monkeypatch, shared):
    comparisons = 0

    def counted(left, right):
        nonlocal comparisons
        comparisons += 1
        return len(left & right) / len(left | right)

    monkeypatch.setattr("dragon_finetune.overlap.jaccard", counted)
    monkeypatch.setattr("dragon_finetune.training.cleaning.jaccard", counted, raising=False)

    def work(count):
        nonlocal comparisons
        comparisons = 0
        texts = [" ".join(f"w{n}x{place}" for place in range(12)) for n in range(count)]
        negatives = [((f"n{n} m{n} k{n}",) if "negatives" in shared else ()) for n in range(count)]
        rows = [Pair(QUERY, text, extra) for text, extra in zip(texts, negatives, strict=True)]
        if shared == "positive":
            rows = [Pair(text, POSITIVE) for text in texts]
        assert len(clean_pairs(rows)[0]) == count
        return comparisons

    assert work(400) <= 2.5 * work(200)
