"""None"""

import itertools

import pytest
from conftest import CORPUS, FAMILIES
from hypothesis import example, given
from hypothesis import strategies as st

from dragon_finetune import Chunk, TokenChunker, TokenCounter
from dragon_finetune.errors import DataError, SettingsError

WORDS = [
    *" ".join(CORPUS).split(),
    "e\u0301",
    "👩‍👩‍👧",
    "שלום",
    "漢字",
    "a" * 70,
    "\x00",
    "\x1c",
    "١٢",
    "🇫🇷",
    "[SEP]",
    "don't",
]
GAPS = [" ", " ", " ", ". ", "! ", ", ", "\n", "\n\n", "\n\n\n", "\u00a0", "\u3000", "。", "", "…\n\n", "\r\n"]
PROSE = st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(GAPS)), min_size=1, max_size=60).map(
    lambda parts: "".join(itertools.chain.from_iterable(parts))
)
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200)
TEXTS = st.one_of(PROSE, ANY_TEXT).filter(str.strip)


@pytest.fixture(scope="module", params=[*FAMILIES, "minilm"])
def counter(request, tiny_models):
    return TokenCounter("embedded" if request.param == "minilm" else tiny_models[request.param])


def assert_sound(text: str, chunks: list[Chunk], counter: TokenCounter, limit: int) -> None:
    assert chunks
    for chunk in chunks:
        assert text[chunk.start : chunk.end] == chunk.text
        assert chunk.tokens == counter.count(chunk.text) <= limit
    starts, ends = [chunk.start for chunk in chunks], [chunk.end for chunk in chunks]
    assert all(one < two for one, two in itertools.pairwise(starts))
    assert all(one < two for one, two in itertools.pairwise(ends))
    uncovered = set(range(len(text)))
    for chunk in chunks:
        uncovered -= set(range(chunk.start, chunk.end))
    assert all(text[index].isspace() for index in uncovered)


@given(text=TEXTS, room=st.integers(6, 40), overlap=st.integers(0, 12))
@example(text="a" * 70 + " b", room=6, overlap=0)
@example(text="\x1c.\n\n\x00", room=6, overlap=3)
@example(text="word " * 40, room=7, overlap=5)
@example(text="0 \u2029", room=6, overlap=0)
def test_limit_slices_order_and_cover(counter, text, room, overlap):
    limit = counter.overhead + room
    chunker = TokenChunker(counter, max_tokens=limit, overlap_tokens=min(overlap, room - 1))
    chunks = chunker.chunk(text)
    assert_sound(text, chunks, counter, limit)
    assert chunker.chunk(text) == chunks
    for chunk in chunks:
        assert [again.text for again in chunker.chunk(chunk.text)] == [chunk.text]


@given(text=TEXTS, room=st.integers(6, 40))
@example(text="Ilse\n\n\n🇫🇷 ", room=6)
def test_without_overlap_nothing_is_repeated(counter, text, room):
    chunks = TokenChunker(counter, max_tokens=counter.overhead + room).chunk(text)
    assert all(one.end <= two.start for one, two in itertools.pairwise(chunks))


@given(text=TEXTS, room=st.integers(8, 40), overlap=st.integers(1, 7))
@example(text="Ilse Ilse answered; Ilse Ilse ", room=8, overlap=2)
def test_overlap_is_at_most_what_was_asked(counter, text, room, overlap):
    chunks = TokenChunker(counter, max_tokens=counter.overhead + room, overlap_tokens=overlap).chunk(text)
    for one, two in itertools.pairwise(chunks):
        repeated = text[two.start : one.end]
        if repeated.strip():
            # Where counts do not add up, as in a divided word, a piece alone may cost a token or two more.
            exact = counter.additive and max(map(len, text.split())) <= min(room, overlap)
            # Tokens are counted as they stand in the text, where a word has its space before it.
            gap = len(text[: two.start]) - len(text[: two.start].rstrip())
            counts = counter.bare_counts([repeated, text[two.start - gap : one.end]])
            assert min(counts) <= overlap + (0 if exact else 2)


@given(text=PROSE.filter(str.strip), max_chars=st.integers(4, 80))
def test_max_chars_is_kept(counter, text, max_chars):
    chunks = TokenChunker(counter, max_tokens=counter.overhead + 30, max_chars=max_chars).chunk(text)
    assert_sound(text, chunks, counter, counter.overhead + 30)
    assert all(chunk.end - chunk.start <= max_chars for chunk in chunks)


@given(text=st.lists(PROSE, min_size=1, max_size=30).map("".join).filter(str.strip), min_chars=st.integers(1, 4))
def test_min_chars_is_kept_where_the_text_has_as_many(counter, text, min_chars):
    # Twelve tokens hold two characters of any kind in all these families.
    limit = counter.overhead + 12 * min_chars
    chunks = TokenChunker(counter, max_tokens=limit, min_chars=min_chars).chunk(text)
    assert_sound(text, chunks, counter, limit)
    assert all(len(chunk.text) >= min(min_chars, len(text.strip())) for chunk in chunks)


@given(texts=st.lists(PROSE.filter(str.strip), max_size=5))
def test_many_texts_are_each_chunked_as_alone(counter, texts):
    chunker = TokenChunker(counter, max_tokens=counter.overhead + 20)
    assert list(chunker.chunk_many(texts)) == [chunker.chunk(text) for text in texts]


@given(text=PROSE.filter(str.strip), room=st.integers(1, 5))
def test_a_tiny_limit_ends_in_chunks_or_a_typed_error(counter, text, room):
    limit = counter.overhead + room
    try:
        chunks = TokenChunker(counter, max_tokens=limit).chunk(text)
    except SettingsError as error:
        assert "alone exceeds max_tokens" in str(error)
    else:
        assert_sound(text, chunks, counter, limit)


class RecordingCounter(TokenCounter):
    """Records how many characters are tokenized, to bound the work without a clock."""

    tokenized = 0

    def bare_counts(self, texts):
        self.tokenized += sum(map(len, texts))
        return super().bare_counts(texts)

    def full_counts(self, texts):
        self.tokenized += sum(map(len, texts))
        return super().full_counts(texts)


@pytest.fixture(params=[*FAMILIES, "minilm"])
def recorder(request, tiny_models):
    from dragon_finetune.model_folder import ModelFolder

    folder = ModelFolder.open("embedded" if request.param == "minilm" else tiny_models[request.param])
    return RecordingCounter(folder.load_tokenizer())


@pytest.mark.parametrize("overlap", [0, 30])
def test_prose_is_tokenized_once_where_counts_add_up_and_else_twice(recorder, overlap):
    text = "\n\n".join(CORPUS) * 60
    chunks = TokenChunker(recorder, max_tokens=250, overlap_tokens=overlap).chunk(text)
    repeated = sum(map(len, (chunk.text for chunk in chunks))) / len(text)
    # Overlap wants the words of every sentence longer than it, and repeats some text.
    assert recorder.tokenized / len(text) <= (1.01 if recorder.additive else 2.1) * repeated + (1 if overlap else 0)


@pytest.mark.parametrize("text", ["word" * 4000, "one two, three " * 2000, "漢字" * 3000, " \n" * 5000 + "x"])
def test_text_without_sentences_is_tokenized_a_few_times_at_most(recorder, text):
    TokenChunker(recorder, max_tokens=60).chunk(text)
    assert recorder.tokenized / len(text) <= 3.3


def test_prompt_counts_in(tiny):
    chunks = TokenChunker(tiny).chunk("Ilse walks the Thaul with greywick. " * 40)
    bare = TokenCounter(tiny, prompt=None)
    assert len(chunks) > 1
    assert all(bare.count("search_document: " + chunk.text) == chunk.tokens <= 64 for chunk in chunks)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_tokens": 65}, "reads only 64"),
        ({"max_tokens": 2}, "leaves -"),
        ({"max_tokens": 40, "overlap_tokens": 39}, "more than overlap_tokens=39"),
        ({"overlap_tokens": -1}, "overlap_tokens=-1"),
        ({"max_chars": 0}, "max_chars is 0"),
        ({"max_chars": 9, "min_chars": 5}, "at least twice min_chars"),
    ],
)
def test_limits_that_cannot_work_are_refused(tiny, options, words):
    with pytest.raises(SettingsError, match=words):
        TokenChunker(tiny, **options)


def test_a_character_dearer_than_the_limit_is_named(tiny_models):
    counter = TokenCounter(tiny_models["byte_bpe"])
    with pytest.raises(SettingsError, match="character '漢' at 0 alone exceeds max_tokens"):
        TokenChunker(counter, max_tokens=counter.overhead + 1).chunk("漢")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        (" \n", "is empty"),
        ("a\ud800b", r"lone surrogate '\\ud800' at character 1"),
        (None, "NoneType"),
    ],
)
def test_no_text(text, words):
    with pytest.raises(DataError, match=words):
        TokenChunker("embedded").chunk(text)


@pytest.mark.parametrize("overlap", [0, 50])
def test_a_slow_tokenizer_gives_the_same_promises(overlap):
    from transformers import ByT5Tokenizer

    counter = TokenCounter(ByT5Tokenizer())  # pure Python: a token per byte, no Rust behind it
    text = "“Où est la cloche?” asked Wren. Nobody answered her, for the bell was under the sea. " * 8
    chunks = TokenChunker(counter, max_tokens=200, overlap_tokens=overlap).chunk(text)
    assert_sound(text, chunks, counter, 200)
    assert [chunk.tokens for chunk in chunks] == [len(chunk.text.encode()) + 1 for chunk in chunks]


def test_token_aware_keeps_the_hosts_rules_on_characters():
    from dragon_finetune import create_chunker

    chunker = create_chunker({"chunker": "token_aware", "embedder": "base", "base": {"model_path": "embedded"}})
    text = ("The tide comes in.\n\n# Heading\n\n" + "Salt and lamp, oar and keel; rope. " * 31 + "\n\nShort.\n\n") * 7
    assert all(300 <= len(piece) <= 6956 - 301 for piece in chunker(text))
    blank = "a" + " " * 9000 + "b"
    assert all(len(piece) <= 6956 - 301 for piece in chunker(blank))
