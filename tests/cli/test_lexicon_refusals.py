"""What `dragon-finetune lexicon` refuses leaves nothing behind; and a chunk file given twice counts once."""

import json
import os

import numpy as np
import pytest
from conftest import run_here
from hypothesis import given, settings
from hypothesis import strategies as st

from dragon_finetune import FineTunedEmbedder
from dragon_finetune.index.chroma import open_client

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


def refused(tmp_path, place, vectors, texts=TEXTS):
    store, output = tmp_path / "store", tmp_path / "model"
    collection = open_client(store).create_collection("books", embedding_function=None)
    collection.add(ids=[str(n) for n in range(len(texts))], documents=texts, embeddings=list(vectors))
    line = ["lexicon", place / "chunks.jsonl", "--model", "embedded", "--output", output]
    done = run_here(*line, "--add-to", store, "--collection", "books", "--as", "joined")
    assert done.returncode == 2, done.stderr
    assert not output.exists()
    assert {path.name for path in tmp_path.iterdir()} == {"store"}
    assert [one.name for one in open_client(store).list_collections()] == ["books"]
    return done.stderr


@pytest.mark.parametrize("width", [7, 384])
def test_a_store_of_other_vectors_is_refused_before_a_folder_is_made(tmp_path, place, width):
    vectors = np.random.default_rng(0).normal(size=(len(TEXTS), width))
    assert "does not hold the dense vectors of embedded" in refused(tmp_path, place, vectors)


def test_a_record_without_text_is_refused_before_a_folder_is_made(tmp_path, place):
    texts = [*TEXTS, ""]
    vectors = FineTunedEmbedder("embedded").encode(TEXTS, role="document")
    said = refused(tmp_path, place, [*vectors, vectors[0]], texts)
    assert "record 30: it has no text" in said


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
