"""What counts as one word."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragon_finetune.lexical.words import endings_of, words_of


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Oriel", "ORIEL"),
        ("Zürich", "Zu\u0308rich"),
        ("ｌａｍｐ", "lamp"),
        ("the Ledger's oath", "the Ledger’s oath"),
        ("the sailors' oath", "the sailors oath"),
        ("Jorun's", "Jorun"),
        ("Jorun\u02bcs", "Jorun"),
        ("the sailors\u02bc oath", "the sailors oath"),
        ("O\u02bcNeil", "O'Neil"),
        ("don’t", "don't"),
        ("\u02bctwas", "twas"),
        ("\u0149", "n"),
        ("half-moon", "half moon"),
        ("(lamp),", "lamp"),
        ("STRASSE", "straße"),
    ],
)
def test_words_that_a_reader_takes_for_the_same_are(one, other):
    assert list(words_of(one, None)) == list(words_of(other, None))


@given(st.text(st.sampled_from("aZé\u02bc'’s竜 .-_7\u0149"), max_size=20), st.sampled_from([None, "english"]))
def test_the_modifier_apostrophe_is_an_apostrophe_wherever_it_stands(text, endings):
    assert list(words_of(text, endings)) == list(words_of(text.replace("\u02bc", "'"), endings))
    assert endings_of([text]) == endings_of([text.replace("\u02bc", "'")])


def test_a_script_without_spaces_is_read_by_pairs_of_letters():
    assert set(words_of("竜の書", None)) & set(words_of("古い竜の話", None))


def test_endings_are_taken_off_english_and_nothing_else():
    english = ["The sailors were rowing to the house that they had left, and it was burning in the night."] * 5
    german = ["Die Segler ruderten zu dem Haus, das sie verlassen hatten, und es brannte in der Nacht."] * 5
    assert endings_of(english) == "english"
    assert endings_of(german) is None
    assert endings_of([]) is None
    assert list(words_of("rowing rowed", "english")) == ["row", "row"]
    assert list(words_of("rowing rowed", None)) == ["rowing", "rowed"]
