"""Questions are checked before anything is scored."""

import pytest

from dragon_finetune.errors import DataError
from dragon_finetune.evaluation.questions import load_questions
from dragon_finetune.files import write_json

QUESTION = {"question_id": 1, "question": "Who lit the lamp?", "category": "plot", "difficulty": "easy"}


@pytest.mark.parametrize(
    ("topics", "said"),
    [
        ("Jorun", "expected_topics is 'Jorun'; write a list"),
        ({"Jorun": 1}, "write a list of texts"),
        ([], "expected_topics is empty"),
        ([""], "topic 1: the text is empty"),
        (["Jorun", 7], "topic 2: expected a string, found int 7"),
        ([["Jorun"]], "topic 1: expected a string"),
    ],
)
def test_topics_that_are_no_list_of_texts_are_named(tmp_path, topics, said):
    write_json(tmp_path / "questions.json", {"questions": [{**QUESTION, "expected_topics": topics}]})
    with pytest.raises(DataError, match="entry 1 of questions") as refusal:
        load_questions(tmp_path / "questions.json")
    assert said in str(refusal.value)
