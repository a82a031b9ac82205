"""The audit's advice, tried by the rule with which the host (era A) groups and cuts: HOST_CONTRACT 4 and 11."""

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragon_finetune import TokenCounter, audit_tokens
from dragon_finetune.model_folder import ModelFolder

OZ = Path(__file__).parents[3] / "shared" / "data" / "oz_chapters.jsonl"
SCRAP = 250  # characters


def cut_as_the_host_does(text, settings):
    """Group paragraphs up to MAX_TOKENS, cut every group above TARGET_TOKENS: a slow copy, in characters."""
    most, target, overlap = (
        int(settings[name]) * int(settings["CHARS_PER_TOKEN"])
        for name in ("MAX_TOKENS", "TARGET_TOKENS", "OVERLAP_TOKENS")
    )
    groups, group = [], ""
    for paragraph in text.split("\n\n"):
        if group and len(group) + 2 + len(paragraph) > most:
            groups.append(group)
            group = ""
        group = group + "\n\n" + paragraph if group else paragraph
    chunks = []
    for whole in [*groups, group]:
        start = 0
        while start + target < len(whole):
            chunks.append(whole[start : start + target])
            start += target - overlap
        chunks.append(whole[start:])
    return chunks


def as_the_host_reads_it(advice):
    """The lines that a person pastes into the host's `.env`; it takes each by `int`."""
    return {name: int(value) for name, value in (line.split("=") for line in str(advice).splitlines())}


@pytest.mark.skipif(not OZ.is_file(), reason="shared/data/oz_chapters.jsonl is not here")
@pytest.mark.parametrize("limit", [256, 512, 1024, 2046])
def test_on_a_real_text_hardly_a_chunk_is_a_scrap_and_none_is_over_the_limit(limit):
    chapters = [json.loads(line)["text"] for line in OZ.read_text(encoding="utf-8").splitlines()]
    folder = dataclasses.replace(ModelFolder.open("embedded"), limit=limit, positions=None)
    advice = audit_tokens(chapters, folder).advice
    chunks = [chunk for text in chapters for chunk in cut_as_the_host_does(text, as_the_host_reads_it(advice))]
    assert sum(len(chunk) < SCRAP for chunk in chunks) / len(chunks) <= 0.05
    assert max(TokenCounter(folder).counts(chunks)) <= limit
    # Not bought by tiny chunks: the mean is at least half of what the limit allows.
    assert sum(TokenCounter(folder).counts(chunks)) / len(chunks) > limit / 2


@given(
    words=st.lists(st.integers(1, 120), min_size=1, max_size=20),
    word=st.sampled_from(["Thaul ", "Ab1! ", "漢字 ", "sto-ry-a-bout "]),
)
def test_target_is_the_maximum_and_every_number_is_whole(tiny_models, words, word):
    advice = audit_tokens([word * count for count in words], tiny_models["wordpiece"]).advice
    read = as_the_host_reads_it(advice)
    assert read["TARGET_TOKENS"] == read["MAX_TOKENS"] >= 1
    assert read["CHARS_PER_TOKEN"] >= 1
    assert 0 <= read["OVERLAP_TOKENS"] < read["TARGET_TOKENS"] or read["TARGET_TOKENS"] == 1


def test_a_dense_passage_inside_a_long_text_counts(tiny_models):
    folder = ModelFolder.open(tiny_models["wordpiece"])
    prose, dense = "Ilse walks the bared floor of the Thaul. ", "Il-se walks the floor. "
    long = prose * 60 + dense * 12 + prose * 60
    settings = as_the_host_reads_it(audit_tokens([long], folder).advice)
    most = settings["MAX_TOKENS"] * settings["CHARS_PER_TOKEN"]
    assert max(TokenCounter(folder).full_counts([long[n : n + most] for n in range(0, len(long), 7)])) <= 64


def test_what_is_no_prose_is_named_and_does_not_make_all_chunks_small(tiny_models):
    folder = ModelFolder.open(tiny_models["wordpiece"])
    prose = ["Ilse walks the bared floor of the Thaul. " * 60] * 5
    plain, with_hex = (audit_tokens([*prose, *odd], folder) for odd in ([], ["1f!9?0;" * 100]))
    assert with_hex.advice.max_tokens * with_hex.advice.chars_per_token > 0.7 * (
        plain.advice.max_tokens * plain.advice.chars_per_token
    )
    assert with_hex.advice.too_dense > 0 == plain.advice.too_dense
    assert "too dense" in str(with_hex)
    assert "too dense" not in str(plain)
