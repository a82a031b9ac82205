import pytest
from conftest import FAMILIES
from hypothesis import given
from hypothesis import strategies as st

from dragon_finetune import TokenChunker, TokenCounter
from dragon_finetune.errors import SettingsError

PROSE = st.text(st.sampled_from("ab cé.!\n“”漢 😀́"), min_size=1, max_size=300).filter(str.strip)


@pytest.fixture(scope="module", params=FAMILIES)
def chunkers(request, tiny_models):
    model = tiny_models[request.param]
    return TokenChunker(model, max_tokens=32), TokenCounter(model)


@given(text=PROSE)
def test_chunks_are_slices_within_the_limit_that_cover_the_text(chunkers, text):
    chunker, counter = chunkers
    chunks = chunker.chunk(text)
    for chunk in chunks:
        assert text[chunk.start : chunk.end] == chunk.text
        assert chunk.tokens == counter.count(chunk.text) <= 32
    gaps = zip([0, *(c.end for c in chunks)], [*(c.start for c in chunks), len(text)], strict=True)
    assert not "".join(text[end:start] for end, start in gaps).strip()
    assert [c.start for c in chunks] == sorted({c.start for c in chunks})


def test_prompt_counts_in(tiny):
    chunker = TokenChunker(tiny)
    chunks = chunker.chunk("Ilse walks the Thaul with greywick. " * 40)
    bare = TokenCounter(tiny, prompt=None)
    assert len(chunks) > 1
    assert all(bare.count("search_document: " + chunk.text) == chunk.tokens <= 64 for chunk in chunks)


def test_max_chars_is_kept(tiny):
    assert all(len(chunk.text) <= 20 for chunk in TokenChunker(tiny, max_chars=20).chunk("salt and lamp " * 30))


def test_limits_that_cannot_work_are_refused(tiny):
    with pytest.raises(SettingsError, match="reads only 64"):
        TokenChunker(tiny, max_tokens=65)
    with pytest.raises(SettingsError, match="character 'w' at 0 alone exceeds max_tokens=2"):
        TokenChunker(tiny, max_tokens=2).chunk("word")


def test_command_keeps_metadata(cli, write_jsonl, tiny, tmp_path):
    import json

    source = write_jsonl("pages.jsonl", [{"text": "Salt and lamp. " * 40, "book_number": 3}, {"text": "One."}])
    done = cli("chunk", source, tmp_path / "out.jsonl", "--model", tiny, "--max-tokens", 40)
    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    first = [record for record in records if record.get("book_number") == 3]
    assert [record["chunk_index"] for record in first] == list(range(first[0]["total_chunks"]))
    assert records[-1]["text"] == "One."
