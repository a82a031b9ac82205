"""What cleaning may leave out, and what it must not lose."""

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
