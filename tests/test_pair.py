"""Pairs in the shapes that people have: what is nearly right is taken or named, never passed over."""

import pytest

from dragon_finetune.errors import DataError
from dragon_finetune.pair import as_pair, read_pairs

TEXTS = {"query": "who lit the lamp", "positive_text": "Jorun lit the lamp."}


@pytest.mark.parametrize("name", ["negative_texts", "negatives", "hard_negatives", "neg", "negative", "hard_negative"])
@pytest.mark.parametrize("value", [["The tide went out.", "The bell rang."], "The tide went out."])
def test_negatives_are_taken_by_all_their_usual_names_in_a_list_or_alone(name, value):
    pair = as_pair({**TEXTS, name: value, "source": "wiki"}, "line 1")
    assert pair.negatives == (tuple(value) if isinstance(value, list) else (value,))
    assert pair.metadata == {"source": "wiki"}


@pytest.mark.parametrize("name", ["negatve_texts", "negs", "hard_negs", "Negatives", "negative_passages"])
def test_what_is_nearly_a_name_for_negatives_is_named_with_the_right_one(name):
    with pytest.raises(DataError, match=rf"line 1: nobody reads '{name}'.*negative_texts"):
        as_pair({**TEXTS, name: ["The tide went out."]}, "line 1")


@pytest.mark.parametrize("value", [{"a": 1}, [["x"]], 7, [""], True])
def test_negatives_that_are_no_texts_are_refused(value):
    with pytest.raises(DataError, match="line 1, negative"):
        as_pair({**TEXTS, "negative_texts": value}, "line 1")


@pytest.mark.parametrize("value", [None, []])
def test_no_negatives_may_be_written_out(value):
    assert as_pair({**TEXTS, "negatives": value}, "line 1").negatives == ()


def test_ids_and_scores_of_negatives_are_metadata():
    metadata = {"negative_chunk_ids": ["c1"], "negative_scores": [0.3], "negative_chunk_id": "c1"}
    assert as_pair({**TEXTS, **metadata}, "line 1").metadata == metadata


def test_no_pair_is_read_of_an_empty_file(tmp_path):
    (tmp_path / "pairs.jsonl").write_text("\n", encoding="utf-8")
    with pytest.raises(DataError, match="holds no pairs"):
        read_pairs(tmp_path / "pairs.jsonl")
