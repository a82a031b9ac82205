"""Where a text is cut: as a reader would."""

import pytest

from dragon_finetune import TokenChunker


def cut_into(text: str, tokens: int, **options) -> list[str]:
    return [chunk.text for chunk in TokenChunker("embedded", max_tokens=tokens, **options).chunk(text)]


@pytest.mark.parametrize(
    "sentence",
    [
        "Dr. Saye met Mr. J. R. Tolkien.",
        "It cost 3.50 marks, e.g. nine coins.",
        "“Who lit the lamp?” asked Jorun.",
        "“Nobody,” he said... and wept.",
        "She was born in No. 5 Lane.",
        "Wait… what is that?",
    ],
)
def test_sentences_are_found_as_a_reader_would(sentence):
    from dragon_finetune.tokens.boundaries import sentences

    text = f"Here it begins. {sentence} Here it ends."
    assert [text[unit.start : unit.end] for unit in sentences(text)] == ["Here it begins.", sentence, "Here it ends."]


def test_sentences_of_scripts_without_spaces():
    assert cut_into("今日は天気です。明日は雨です。昨日は雪です。", 11) == [
        "今日は天気です。",
        "明日は雨です。",
        "昨日は雪です。",
    ]


def test_headings_begin_a_chunk_and_stay_with_their_text():
    text = "== One ==\nSalt and lamp and oar.\n== Two ==\nRope and bell and keel."
    assert cut_into(text, 18) == ["== One ==\nSalt and lamp and oar.", "== Two ==\nRope and bell and keel."]
    text = "Salt and lamp and oar and salt.\n\nChapter Two\n\nRope and bell."
    assert cut_into(text, 14) == ["Salt and lamp and oar and salt.", "Chapter Two\n\nRope and bell."]


def test_paragraph_before_sentence_before_clause_before_word():
    assert cut_into("One two. Three four five.\n\nSix.", 10) == ["One two. Three four five.", "Six."]
    assert cut_into("One two three. Four five six.", 8) == ["One two three.", "Four five six."]
    assert cut_into("one two three four, five six seven eight", 9) == ["one two three four,", "five six seven eight"]
    assert cut_into("one two three four", 4) == ["one two", "three four"]


def test_no_tiny_tail():
    text = "The tide comes in. " * 60
    tokens = [chunk.tokens for chunk in TokenChunker("embedded").chunk(text)]
    assert len(tokens) == 2
    assert max(tokens) - min(tokens) <= 10


def test_overlap_starts_at_a_sentence():
    chunks = cut_into("One two three. Four five six. Seven eight nine. Ten eleven twelve.", 14, overlap_tokens=5)
    assert chunks == [
        "One two three. Four five six. Seven eight nine.",
        "Seven eight nine. Ten eleven twelve.",
    ]


def test_emoji_and_accents_are_not_torn(tiny_models):
    text = "👩‍👩‍👧" * 20 + "e\u0301" * 40
    chunks = TokenChunker(tiny_models["byte_bpe"], max_tokens=60).chunk(text)
    assert all(
        chunk.text.startswith(("👩‍👩‍👧", "e\u0301")) and not chunk.text.endswith(("\u200d", "e")) for chunk in chunks
    )
