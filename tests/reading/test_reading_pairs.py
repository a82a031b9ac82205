"""Pairs in the forms of other tools: each gives the pairs that its tool means, and says how it was read."""

import json

import pytest
from files_of_kinds import KINDS, write_beir, write_records

from dragon_finetune.errors import DataError
from dragon_finetune.pair import read_pairs

ASKED = "who keeps the lamp"


def read(path):
    return [(pair.query, pair.positive, pair.negatives) for pair in read_pairs(path)]


def written(tmp_path, value, name="a.json"):
    (tmp_path / name).write_text(json.dumps(value), encoding="utf-8")
    return tmp_path / name


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_file_holds_pairs(tmp_path, kind):
    records = [{"anchor": f"où {n}", "positive": f"là {n}", "negative_1": "鐘", "source": "wiki"} for n in range(3)]
    pairs = read_pairs(write_records(tmp_path / f"a.{kind}", records))
    assert [(pair.query, pair.positive, pair.negatives) for pair in pairs] == [
        (f"où {n}", f"là {n}", ("鐘",)) for n in range(3)
    ]
    assert pairs[0].metadata == {"source": "wiki"}


def test_a_cell_without_a_value_is_no_negative(tmp_path):
    rows = [{"query": "a", "positive": "b", "negative": "c"}, {"query": "d", "positive": "e", "negative": ""}]
    assert read(write_records(tmp_path / "a.csv", rows)) == [("a", "b", ("c",)), ("d", "e", ())]


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_flag_embedding_gives_a_pair_for_each_positive(tmp_path, capsys, kind):
    file = write_records(tmp_path / f"a.{kind}", [{"query": ASKED, "pos": ["x", "y"], "neg": ["z"], "prompt": "p"}])
    assert read(file) == [(ASKED, "x", ("z",)), (ASKED, "y", ("z",))]
    assert read_pairs(file)[0].metadata == {"prompt": "p"}
    said = {"jsonl": "JSON lines, 1 records", "parquet": "Parquet, 1 rows"}[kind]
    assert capsys.readouterr().err == f"reading {file}: {said} in the form of FlagEmbedding: 2 pairs\n"


def test_flag_embedding_is_known_in_a_list_too():
    assert [pair.positive for pair in read_pairs([{"query": ASKED, "pos": ["x", "y"], "neg": []}])] == ["x", "y"]


@pytest.mark.parametrize(
    "record",
    [
        {"user_input": ASKED, "reference_contexts": ["x", "y"], "reference": "an answer"},
        {"question": ASKED, "contexts": ["x", "y"], "ground_truth": "an answer"},
        {"question": ASKED, "ground_truth_context": ["x", "y"]},
        {"user_input": ASKED, "reference_contexts": "['x', \"y\"]"},
        {"user_input": ASKED, "reference_contexts": '["x", "y"]'},
    ],
)
def test_ragas_test_sets(tmp_path, capsys, record):
    kind = "csv" if isinstance(list(record.values())[1], str) else "jsonl"
    file = write_records(tmp_path / f"a.{kind}", [record])
    assert read(file) == [(ASKED, "x", ()), (ASKED, "y", ())]
    assert "in the form of RAGAS: 2 pairs" in capsys.readouterr().err


def test_a_passage_that_begins_like_a_list_is_a_passage(tmp_path):
    file = write_records(tmp_path / "a.csv", [{"question": ASKED, "context": "[1] the lamp [2]"}])
    assert read(file) == [(ASKED, "[1] the lamp [2]", ())]


SQUAD = {
    "version": "2.0",
    "data": [
        {
            "title": "Oriel",
            "paragraphs": [
                {"context": "Jorun keeps it.", "qas": [{"id": "1", "question": ASKED, "answers": []}]},
                {"context": "A bell.", "qas": [{"id": "2", "question": "why", "is_impossible": True}]},
            ],
        }
    ],
}


def test_squad_leaves_out_what_its_passage_does_not_answer(tmp_path, capsys):
    file = written(tmp_path, SQUAD)
    (pair,) = read_pairs(file)
    assert (pair.query, pair.positive) == (ASKED, "Jorun keeps it.")
    assert pair.metadata == {"title": "Oriel", "query_id": "1"}
    assert "SQuAD, 2 questions, 1 of them without an answer passed over: 1 pairs" in capsys.readouterr().err


def test_squad_as_rows(tmp_path):
    rows = [
        {"question": ASKED, "context": "x", "answers": {"text": ["it"], "answer_start": [0]}},
        {"question": "why", "context": "y", "answers": {"text": [], "answer_start": []}},
    ]
    assert read(write_records(tmp_path / "a.parquet", rows)) == [(ASKED, "x", ())]


LLAMA = {"queries": {"q1": ASKED}, "corpus": {"d1": "x", "d2": "y"}, "relevant_docs": {"q1": ["d2"]}, "mode": "text"}


def test_llama_index(tmp_path, capsys):
    (pair,) = read_pairs(written(tmp_path, LLAMA))
    assert (pair.query, pair.positive) == (ASKED, "y")
    assert pair.metadata == {"query_id": "q1", "positive_chunk_id": "d2"}
    assert "LlamaIndex, 1 queries, 2 passages: 1 pairs" in capsys.readouterr().err


def test_beir_trains_on_its_training_judgements_alone(tmp_path, capsys):
    folder = write_beir(tmp_path / "set")
    pairs = read_pairs(folder)
    assert [(pair.query, pair.positive) for pair in pairs] == [
        (f"who keeps lamp {n}", f"House {n} It keeps lamp {n}.") for n in (0, 3)
    ]
    said = "BEIR, 2 queries, 6 passages, qrels/train.tsv: 2 pairs"
    assert capsys.readouterr().err == f"reading {folder}: {said}\n"
    assert {pair.query for pair in read_pairs(folder / "qrels" / "dev.tsv")} == {f"who keeps lamp {n}" for n in (1, 4)}


def test_beirs_test_questions_are_trained_on_only_by_name_and_with_a_warning(tmp_path):
    folder = write_beir(tmp_path / "set", splits=("test",))
    with pytest.raises(DataError, match=r"no qrels/train.tsv.*qrels/test.tsv"):
        read_pairs(folder)
    with pytest.warns(UserWarning, match="is for tests"):
        assert len(read_pairs(folder / "qrels" / "test.tsv")) == 6


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("qrels/train.tsv", "query-id\tcorpus-id\tscore\nq0\td0\thigh\n", r"train.tsv, row 1 is \['q0'"),
        ("qrels/train.tsv", "query-id\tcorpus-id\tscore\nq0\td0\n", "train.tsv, row 1"),
        ("qrels/train.tsv", "q0 0 d0 1\n", "the header is"),
        ("qrels/train.tsv", "", "judges nothing to be right"),
        ("qrels/train.tsv", "query-id\tcorpus-id\tscore\nq0\td0\t0\n", "judges nothing to be right"),
        ("qrels/train.tsv", "query-id\tcorpus-id\tscore\nq9\td0\t1\n", "query 'q9' is not in"),
        ("qrels/train.tsv", "query-id\tcorpus-id\tscore\nq0\td9\t1\n", "no passage 'd9'"),
        ("corpus.jsonl", '{"id": "d0", "text": "x"}\n', "corpus.jsonl, line 1: no '_id'"),
        ("corpus.jsonl", '{"_id": "d0", "title": "", "text": " "}\n', "corpus.jsonl, line 1: the text is empty"),
        ("queries.jsonl", '{"_id": "q0"}\n', "queries.jsonl, line 1: expected a string"),
    ],
)
def test_a_damaged_beir_folder_is_named(tmp_path, file, content, words):
    folder = write_beir(tmp_path / "set")
    (folder / file).write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=words):
        read_pairs(folder)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"questions": [1]}, "holds 'questions'. Pairs are known as: query"),
        ({"a": {"b": 1}}, "holds 'a'. Pairs are known as"),
        ([{"a": "x"}], r"item 1: the pair has no 'query'; it has \['a'\]. Pairs are known as"),
        ({"data": [{"paragraphs": [{"qas": [{"question": ASKED}]}]}]}, "article 1 is not in SQuAD's form"),
        ({"data": [{"paragraphs": 7}]}, "article 1 is not in SQuAD's form"),
        ({**LLAMA, "corpus": {}}, "query q1: the passage 'd2' is judged and is not there"),
        ({**LLAMA, "queries": {}}, "query q1: the query 'q1' is judged and is not there"),
        ({**LLAMA, "relevant_docs": {"q1": "d1"}}, "must be a list of ids"),
        ({**LLAMA, "corpus": ["x"]}, "corpus is list"),
        ([{"query": ASKED, "pos": [7]}], "item 1, positive: expected a string, found int"),
        ([{"user_input": [{"content": "x"}], "reference_contexts": ["x"]}], "query: expected a string, found list"),
        ([], "holds no pairs"),
    ],
)
def test_forms_that_nobody_knows_are_refused(tmp_path, value, words):
    with pytest.raises(DataError, match=words):
        read_pairs(written(tmp_path, value))


def test_folders_and_texts_hold_no_pairs(tmp_path):
    (tmp_path / "a.txt").write_text("x", encoding="utf-8")
    for path in (tmp_path, tmp_path / "a.txt"):
        with pytest.raises(DataError, match="known as"):
            read_pairs(path)


def test_plain_pairs_in_json_lines_are_read_without_a_word(tmp_path, capsys):
    read(write_records(tmp_path / "a.jsonl", [{"query": ASKED, "positive_text": "x"}]))
    assert capsys.readouterr() == ("", "")
