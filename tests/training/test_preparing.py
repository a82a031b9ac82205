"""Pairs before training: cleaned, split without leaks, mixed, handed on without loss."""

import pytest
from conftest import make_pairs
from hypothesis import given
from hypothesis import strategies as st
from runs_of_training import PAIRS, config

from dragon_finetune import FineTuner
from dragon_finetune.errors import DataError, TokenLimitError
from dragon_finetune.pair import Pair, as_pair, read_pairs
from dragon_finetune.training.cleaning import clean_pairs
from dragon_finetune.training.datasets import to_datasets
from dragon_finetune.training.splitting import split_pairs


def test_what_teaches_the_wrong_thing_is_left_out_and_counted():
    pairs = [
        Pair("Who lit the lamp?", "Jorun"),
        Pair("who lit the lamp", "Jorun!"),
        Pair("who lit the lamp", "Perran", ("Jorun", "Hob")),
        Pair("Hob", "hob"),
    ]
    kept, dropped = clean_pairs(pairs)
    assert kept == [pairs[0], Pair("who lit the lamp", "Perran", ("Hob",))]
    assert list(dropped.values()) == [1, 0, 1, 1]


def test_split_is_by_document_and_source_and_never_of_general_pairs():
    pairs = [Pair(f"q{n}", f"p{n}", (), {"source": "book", "positive_chunk_id": n // 4}) for n in range(80)]
    pairs += [Pair(f"w{n}", f"v{n}", (), {"source": "wiki"}) for n in range(40)]
    pairs += [Pair(f"g{n}", f"h{n}", (), {"source": "general"}) for n in range(40)]
    training, validation = split_pairs(pairs, 0.2, 1)
    held = [pair.metadata["source"] for pair in validation]
    assert (held.count("book"), held.count("wiki"), held.count("general")) == (16, 8, 0)
    chunks = {pair.metadata.get("positive_chunk_id") for pair in training} - {None}
    assert not chunks & {pair.metadata.get("positive_chunk_id") for pair in validation}


def test_general_pairs_are_mixed_in_up_to_their_share(tiny, tmp_path, write_jsonl):
    general = write_jsonl("general.jsonl", [{"query": f"ask {n}", "positive_text": f"tell {n}"} for n in range(50)])
    result = FineTuner(config(tiny, tmp_path / "out", max_steps=1, general_pairs=general, general_share=0.25)).train(
        PAIRS
    )
    assert result.pairs == {"training": 32 + 11, "validation": 8}


def test_legacy_input_examples_and_datasets_are_the_same_pairs(tiny):
    from datasets import Dataset
    from sentence_transformers import InputExample

    rows = [("a", "b", "c"), ("d", "e", "f")]
    expected = [Pair(query, positive, (negative,)) for query, positive, negative in rows]
    dataset = Dataset.from_dict(
        {name: [row[i] for row in rows] for i, name in enumerate(("anchor", "positive", "negative"))}
    )
    assert read_pairs([InputExample(texts=list(row)) for row in rows]) == expected
    assert read_pairs(dataset) == expected
    assert read_pairs([{"query": q, "positive_text": p, "negative_texts": [n]} for q, p, n in rows]) == expected


def test_different_numbers_of_negatives_lose_nothing(tiny, tmp_path):
    pairs = [{**pair, "negative_texts": ["salt", "lamp"][: n % 3]} for n, pair in enumerate(PAIRS)]
    datasets = to_datasets(read_pairs(pairs))
    assert sum(len(dataset) for dataset in datasets.values()) == 40
    assert FineTuner(config(tiny, tmp_path / "out")).train(pairs).steps >= 5


@given(
    links=st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=1, max_size=60),
    share=st.floats(0, 0.5),
    seed=st.integers(0, 5),
)
def test_split_leaks_nothing_and_loses_nothing(links, share, seed):
    pairs = [Pair(f"q{query}", f"p{positive}") for query, positive in links]
    training, validation = split_pairs(pairs, share, seed)
    assert sorted(map(str, training + validation)) == sorted(map(str, pairs))
    assert not {pair.query for pair in training} & {pair.query for pair in validation}
    assert len(validation) <= 2 * round(len(pairs) * share)
    assert split_pairs(pairs, share, seed) == (training, validation)


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({"query": "who"}, "no 'positive_text'"),
        ({"positive_text": "x"}, "no 'query'"),
        ({"query": "who", "positive_text": " "}, "positive: the text is empty"),
        ({"query": 5, "positive_text": "x"}, "query: expected a string, found int 5"),
        ({"query": "who", "positive_text": "x", "negative_texts": [None]}, "negative: expected a string"),
    ],
)
def test_bad_pairs_are_named_by_file_and_line(write_jsonl, record, words):
    file = write_jsonl("pairs.jsonl", [PAIRS[0], record])
    with pytest.raises(DataError, match=rf"pairs.jsonl, line 2.*{words}"):
        read_pairs(file)


def test_no_pairs(tmp_path, write_jsonl):
    with pytest.raises(DataError, match="holds no pairs"):
        read_pairs(write_jsonl("pairs.jsonl", []))
    with pytest.raises(DataError, match="needs texts"):
        as_pair(type("Example", (), {"texts": ["one"]})(), "pair 0")


@pytest.mark.parametrize(
    ("pairs", "words"),
    [
        (make_pairs(1), "1 pairs are left"),
        (make_pairs(1) * 20, "1 pairs are left"),
        ([*make_pairs(5), {"query": "x", "positive_text": "lamp " * 50_000}], "item 5 has 50016"),
    ],
)
def test_pairs_that_cannot_teach_are_refused_before_work(tiny, tmp_path, pairs, words):
    with pytest.raises((DataError, TokenLimitError), match=words):
        FineTuner(config(tiny, tmp_path / "out")).train(pairs)
    assert not list(tmp_path.iterdir())


@given(passages=st.integers(10, 40), queries=st.integers(1, 4), seed=st.integers(0, 5))
def test_no_passage_is_on_both_sides_where_there_are_enough_of_them(passages, queries, seed):
    pairs = [Pair(f"q{n}x{q}", f"p{n}") for n in range(passages) for q in range(queries)]
    training, validation = split_pairs(pairs, 0.2, seed)
    assert validation
    assert not {pair.positive for pair in training} & {pair.positive for pair in validation}


def test_rewordings_of_one_question_stay_together_even_where_passages_cannot():
    pairs = [Pair(f"q{n}", "p", (), {"original_question_id": n // 3}) for n in range(30)]
    training, validation = split_pairs(pairs, 0.2, 0)
    asked = [{pair.metadata["original_question_id"] for pair in side} for side in (training, validation)]
    assert len(validation) == 6
    assert not asked[0] & asked[1]
