"""Counts by words are the tokenizer's own counts, whatever the text and however few words are kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragon_finetune import TokenCounter
from dragon_finetune.tokens import word_counts

COUNTER = TokenCounter("embedded", prompt=None)
TOKENIZER = COUNTER._fast
WORDS = "Tallyhouse don’t \u0301 [MASK] [UNK ] ... 王国 \x0b \x85 e\u0301 𝔸 \ufffd".split(" ")
PIECES = st.sampled_from([*WORDS, "x" * 120])
TEXTS = st.lists(st.one_of(PIECES, st.text(max_size=12), st.sampled_from(" \n\t\u00a0\u3000"))).map("".join)


@pytest.mark.parametrize("kept", [0, word_counts._MOST_CHARS], ids=["none is kept", "all are"])
@given(texts=st.lists(TEXTS, max_size=8))
def test_counts_are_those_of_the_tokenizer(kept, texts):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(word_counts, "_MOST_CHARS", kept)
        assert COUNTER.bare_counts(texts) == [len(TOKENIZER.encode(text, add_special_tokens=False)) for text in texts]
        assert COUNTER.full_counts(texts) == [len(TOKENIZER.encode(text)) for text in texts]


def test_a_word_is_tokenized_once():
    seen = []

    class Spy:
        def encode_batch_fast(self, texts, **options):
            seen.extend(texts)
            return TOKENIZER.encode_batch_fast(texts, **options)

    counts = word_counts.WordCounts(Spy())
    assert counts.of(["the tide the", "", "tide  took"]) == [3, 0, 2]
    assert counts.of(["the took"]) == [2]
    assert sorted(seen) == ["the", "tide", "took"]
