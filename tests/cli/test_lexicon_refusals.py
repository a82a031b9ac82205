"""What `dragon-finetune lexicon` refuses leaves nothing behind; and a chunk file given twice counts once."""

import json
import os

import pytest
from conftest import run_here
from hypothesis import given, settings
from hypothesis import strategies as st

TEXTS = [f"Zorbax{n} lit the lamp of the Oriel. House {n} has an oar of ash." for n in range(30)]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lexicon")
    (folder / "below").mkdir()
    chunks = [folder / "chunks.jsonl", folder / "more.jsonl"]
    for file, texts in zip(chunks, (TEXTS, ["The bell rang in Umbrith."]), strict=True):
        file.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    if os.name == "posix":
        (folder / "linked.jsonl").symlink_to(chunks[0])
        os.link(chunks[0], folder / "hard.jsonl")
    return folder


PATHS = ["chunks.jsonl", "below/../chunks.jsonl", *(["linked.jsonl", "hard.jsonl"] if os.name == "posix" else [])]


@settings(max_examples=6)
@given(st.lists(st.sampled_from(PATHS), min_size=2, max_size=4), st.integers(0, 4))
def test_a_file_given_twice_by_whatever_path_counts_once(place, tmp_path_factory, paths, other):
    again = set(paths[1:])  # the same sentence is said once
    paths.insert(other, "more.jsonl")
    output = tmp_path_factory.mktemp("made") / "model"
    line = ["--model", "embedded", "--output", output, "--dimensions", 64, "--distances", "native", "--json"]
    done = run_here("lexicon", *(f"{place}/{path}" for path in paths), *line)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["passages"] == 31
    assert done.stderr.count("counts once") == len(again)


def test_files_of_their_own_are_not_spoken_of(place, tmp_path):
    line = ["--model", "embedded", "--output", tmp_path / "model", "--dimensions", 64, "--distances", "native"]
    done = run_here("lexicon", place / "chunks.jsonl", place / "more.jsonl", *line)
    assert (done.returncode, "once" in done.stderr) == (0, False), done.stderr
