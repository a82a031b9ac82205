"""What is marked in a text, and the part of it that is shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragon_finetune.lexical.words import words_of
from dragon_finetune.serve.excerpt import asked_words, excerpt

WORDS = [
    "lamp",
    "Lamps",
    "the",
    "Übel",
    "caf\u0065\u0301",
    "caf\u00e9",
    "灯塔",
    "灯",
    "塔上有",
    "🐉",
    "lamp's",
    "a-b",
    "x1",
    "ﬁn",
]
texts = st.lists(st.sampled_from([*WORDS, "filler", "(", "… "]), max_size=400).map(" ".join)


def marked(text, query, endings="english"):
    shown = excerpt(text, asked_words(query, endings), endings)
    return [shown.text[start:end] for start, end in shown.marks]


@pytest.mark.parametrize(
    ("text", "query", "found"),
    [
        ("The lamps of a lamp-lighter; the Lamp’s oil.", "lamp", ["lamps", "lamp", "Lamp’s"]),
        ("🐉🐉 lamp 🐉", "the lamp", ["lamp"]),
        ("caf\u0065\u0301 CAFÉ cafe", "Café", ["caf\u0065\u0301", "CAFÉ"]),
        ("他们看见灯塔上有光", "灯塔上", ["灯塔上"]),
        ("He is the one who was there", "who is the", []),
        ("東京towerで", "TOWER", ["tower"]),
        ("ﬁne Ａrt", "fine art", ["ﬁne", "Ａrt"]),
    ],
)
def test_words_are_found_as_a_reader_would(text, query, found):
    assert marked(text, query) == found


@given(text=texts, query=st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(" ".join))
def test_an_excerpt_is_a_slice_with_every_word_of_the_query_in_it_marked(text, query):
    words = asked_words(query, "english")
    shown = excerpt(text, words, "english")
    assert shown.text == text[shown.before : len(text) - shown.after]
    assert len(shown.text) <= 1000 and (len(text) > 1000 or shown.text == text)
    last = 0
    for start, end in shown.marks:
        assert last <= start < end <= len(shown.text)
        last = end
    plain = [word for word in text.split() if word.isascii() and words & {*words_of(word, "english")}]
    assert bool(shown.marks) >= bool(plain)
    for start, end in shown.marks:
        assert words & {*words_of(shown.text[start:end], "english")}
    left = "".join(
        " " if any(start <= at < end for start, end in shown.marks) else each for at, each in enumerate(shown.text)
    )
    assert not words & {word for word in words_of(left, "english") if word.isascii()}
