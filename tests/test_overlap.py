import itertools

from hypothesis import given
from hypothesis import strategies as st

from dragon_finetune.overlap import jaccard, near_duplicates, words
from dragon_finetune.pair import Pair
from dragon_finetune.training.cleaning import clean_pairs
from dragon_finetune.training.splitting import split_pairs

TEXTS = st.lists(
    st.lists(st.sampled_from("ilse walks the thaul with greywick lamp oar".split()), min_size=1, max_size=9).map(
        " ".join
    ),
    max_size=12,
)


@given(left=TEXTS, right=TEXTS, threshold=st.floats(0.05, 1))
def test_near_duplicates_are_those_that_comparing_all_finds(left, right, threshold):
    slow = [
        (one, two)
        for (one, left_text), (two, right_text) in itertools.product(enumerate(left), enumerate(right))
        if jaccard(words(left_text), words(right_text)) >= threshold
    ]
    assert [(near.left, near.right) for near in near_duplicates(left, right, threshold)] == slow
    assert {(near.left, near.left) for near in near_duplicates(left, left, threshold) if near.left == near.right} == {
        (index, index) for index in range(len(left))
    }


def test_texts_of_one_mould_are_not_all_compared(monkeypatch):
    compared = []
    monkeypatch.setattr("dragon_finetune.overlap.jaccard", lambda *texts: compared.append(texts) or jaccard(*texts))
    texts = [f"who keeps the {'lamp' if number % 2 else 'bell'} of house {number}" for number in range(300)]
    assert len(list(near_duplicates(texts, texts))) == len(compared) == len(texts)


LONG = "Ilse took the salt road over the ridge with greywick and the lamp of the third keeper"


def test_near_duplicate_pairs_are_left_out_and_near_negatives_too():
    pairs = [
        Pair("Who took the salt road over the ridge?", LONG),
        Pair("who took the salt road over a ridge", LONG + " alone"),
        Pair("Who took the salt road over the ridge", "Nobody knows."),
        Pair("Who lit the lamp?", LONG, (LONG.replace("third", "fourth"), "Old Hob")),
    ]
    kept, dropped = clean_pairs(pairs)
    assert kept == [pairs[0], pairs[2], Pair("Who lit the lamp?", LONG, ("Old Hob",))]
    assert dropped["near-duplicate pairs"] == 1
    assert dropped["negatives that are positives"] == 1


def test_near_duplicate_queries_and_passages_stay_on_one_side():
    pairs = [Pair(f"What is word{n} of the lower town called now?", f"unique{n}") for n in range(20)]
    pairs += [Pair(f"what is word{n} of the lower town called", f"other{n}") for n in range(20)]
    pairs += [Pair(f"alone{n}", f"{LONG} number{n // 2}") for n in range(2)]
    for seed in range(5):
        training, held_back = split_pairs(pairs, 0.3, seed)
        assert held_back
        for one, two in itertools.product(training, held_back):
            assert jaccard(words(one.query), words(two.query)) < 0.8
            assert jaccard(words(one.positive), words(two.positive)) < 0.8
