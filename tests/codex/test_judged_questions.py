"""The 200 judged questions of the example codex: what their kinds promise holds of every one."""

import json
import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
import snowballstemmer

from dragon_finetune.chunks import read_chunks
from dragon_finetune.evaluation.questions import load_questions
from dragon_finetune.pair import read_pairs

DATA = Path(__file__).parents[2] / "examples" / "dragons_codex" / "data"
KINDS = ("named", "paraphrase", "keywords", "half_remembered")
FUNCTION_WORDS = set(
    """a about above after again against all along also although am among an and another any anybody anyone anything are
    around as at be because been before behind being below beneath between beyond both but by can could couldn d did
    didn do does doesn doing don done down during each either else even ever every everybody everyone everything few for
    from had hadn has have having he her here hers herself him himself his how i if in into is isn it its itself just
    less ll m many may me might mine more most much must my near neither never no nobody none nor not nothing of off on
    once one ones only onto or other ought our out over own per re s same shall she should since so some somebody
    someone something still such t than that the their theirs them themselves then there these they this those though
    through till to too toward towards under until up upon us ve very via was wasn we were what whatever when where
    whether which while who whoever whom whose why will with within without would wouldn yet you your""".split()
)
stem = cache(snowballstemmer.stemmer("english").stemWord)


@pytest.fixture(scope="module")
def questions():
    return json.loads((DATA / "testing" / "judged_200.json").read_text(encoding="utf-8"))["questions"]


@pytest.fixture(scope="module")
def chunks():
    return {chunk.id: chunk.text for chunk in read_chunks(sorted((DATA / "chunks").glob("*.jsonl")))}


@cache
def stems(text):
    return {stem(word) for word in re.findall("[a-z]+", text.lower()) if word not in FUNCTION_WORDS}


def test_fifty_of_each_kind_numbered_from_one(questions):
    assert Counter(each["kind"] for each in questions) == dict.fromkeys(KINDS, 50)
    assert [each["question_id"] for each in questions] == list(range(1, 201))


def test_every_answer_is_a_chunk_and_most_chunks_are_one(questions, chunks):
    answers = [answer for each in questions for answer in each["answers"]]
    assert all(each["answers"] and len(set(each["answers"])) == len(each["answers"]) for each in questions)
    assert set(answers) <= set(chunks)
    assert len(set(answers)) >= 150


def test_a_paraphrase_shares_no_content_word_with_an_answer(questions, chunks):
    shared = {
        each["question"]: both
        for each in questions
        for answer in each["answers"]
        if each["kind"] == "paraphrase" and (both := stems(each["question"]) & stems(chunks[answer]))
    }
    assert not shared


def test_keywords_are_two_to_six_words_and_no_question(questions):
    asked = [each["question"] for each in questions if each["kind"] == "keywords"]
    assert all(2 <= len(text.split()) <= 6 and "?" not in text for text in asked)


def test_no_two_are_nearly_equal_nor_near_to_a_test_question_or_a_training_query(questions):
    own = [(each["question"], stems(each["question"])) for each in questions]
    others = [each["question"] for each in load_questions(DATA / "testing" / "questions_100.json")]
    others += [pair.query for pair in read_pairs(DATA / "training" / "pairs.jsonl")]
    near = [
        (text, other)
        for place, (text, words) in enumerate(own)
        for other, its in [*own[place + 1 :], *((each, stems(each)) for each in others)]
        if len(words & its) >= 0.7 * len(words | its)
    ]
    assert not near
