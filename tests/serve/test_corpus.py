"""The texts that the page searches: from files, and from collections whose vectors may be anybody's."""

import json

import httpx
import numpy as np
import pytest
from conftest import CORPUS, run_here
from hypothesis import given
from hypothesis import strategies as st
from servers import serving

from dragon_finetune import FineTunedEmbedder
from dragon_finetune.chunks import ChunkRef
from dragon_finetune.errors import DataError
from dragon_finetune.index.chroma import open_client
from dragon_finetune.index.freshness import StaleIndexWarning
from dragon_finetune.serve.corpus import Column, Corpus
from dragon_finetune.serve.corpus_reading import corpus_of_collection, corpus_of_files
from serve.test_page import CHROMIUM, in_a_browser


@pytest.fixture(scope="module")
def models(tiny_models):
    return {
        name: FineTunedEmbedder(tiny_models[name], engine="torch", precision="fp32", on_overflow="split")
        for name in ("byte_bpe", "wordpiece")
    }


@pytest.fixture(autouse=True)
def a_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DRAGON_FINETUNE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def collection(store, vectors, texts=CORPUS, name="books"):
    made = open_client(store).create_collection(name, embedding_function=None)
    made.add(ids=[f"r{n}" for n in range(len(texts))], documents=list(texts), embeddings=list(vectors))
    return str(store)


@given(rows=st.lists(st.integers(0, 3), min_size=1, max_size=40), k=st.integers(1, 50))
def test_the_nearest_are_those_of_a_full_sort_and_equal_ones_come_in_order(rows, k):
    directions = np.linalg.qr(np.random.default_rng(0).normal(size=(37, 37)))[0].astype(np.float32)
    query = directions[0] * 0.8 + directions[1] * 0.6
    chunks = [ChunkRef("", str(place), "text", {}) for place in range(len(rows))]
    corpus = Corpus("c", chunks, {"m": Column(directions[rows])})
    exact = [{0: 0.4, 1: 0.8}.get(row, 2.0) for row in rows]
    best = sorted(range(len(rows)), key=lambda place: exact[place])[:k]
    found = corpus.nearest("m", query, k)
    assert [each.place for each in found] == best
    assert [each.distance for each in found] == pytest.approx([exact[place] for place in best], abs=1e-5)


def test_nothing_is_embedded_twice(models, write_jsonl, a_cache):
    long = {"text": "The tide came in. " * 60}
    file = write_jsonl("chunks.jsonl", [{"text": text} for text in CORPUS] + [long])
    first = corpus_of_files(models, [file])
    shards = {shard: shard.stat().st_mtime_ns for shard in a_cache.rglob("*.parquet")}
    again = corpus_of_files(models, [file])
    assert {shard: shard.stat().st_mtime_ns for shard in a_cache.rglob("*.parquet")} == shards
    assert len(shards) == 2
    for name, embedder in models.items():
        np.testing.assert_array_equal(first.columns[name].vectors, again.columns[name].vectors)
        alone = embedder.encode([CORPUS[2]], role="document")[0]
        assert again.columns[name].vectors[2] @ alone > 0.99999


def test_a_collection_is_searched_by_its_own_vectors_only_by_the_model_that_made_it(models, tmp_path):
    own = models["byte_bpe"].encode(CORPUS, role="document")
    store = collection(tmp_path / "store", own * 3)
    corpus = corpus_of_collection(models, store, "books")
    np.testing.assert_allclose(corpus.columns["byte_bpe"].vectors, own, atol=1e-6)
    assert [corpus.columns[name].stale for name in models] == [False, True]
    others = models["wordpiece"].encode(CORPUS, role="document")
    np.testing.assert_allclose(corpus.columns["wordpiece"].vectors, others, atol=1e-5)
    assert "0 of 4 looked at" in corpus.columns["wordpiece"].origin


@pytest.mark.parametrize("width", [32, 24])
def test_nobodys_vectors_are_never_searched(models, tmp_path, width):
    store = collection(tmp_path / "store", np.random.default_rng(0).normal(size=(4, width)))
    with pytest.warns(StaleIndexWarning, match="They are not searched"):
        corpus = corpus_of_collection(models, store, "books")
    for name, embedder in models.items():
        vectors = embedder.encode(CORPUS, role="document")
        np.testing.assert_allclose(corpus.columns[name].vectors, vectors, atol=1e-5)


def test_a_collection_that_names_another_encoder_is_not_believed_to_be_ours(models, tmp_path):
    from dragon_finetune.index.chroma_function import embedding_function

    client = open_client(tmp_path / "store")
    made = client.create_collection("books", embedding_function=embedding_function(models["wordpiece"]))
    made.add(ids=["a", "b"], documents=CORPUS[:2], embeddings=list(models["byte_bpe"].encode(CORPUS[:2], role=None)))
    with pytest.warns(StaleIndexWarning, match="was made by fingerprint"):
        corpus = corpus_of_collection({"tuned": models["byte_bpe"]}, str(tmp_path / "store"), "books")
    assert corpus.columns["tuned"].stale


def test_records_without_a_text_are_left_out_and_said(models, tmp_path):
    texts = [*CORPUS[:3], " "]
    vectors = models["byte_bpe"].encode([*CORPUS[:3], "x"], role="document")
    corpus = corpus_of_collection({"tuned": models["byte_bpe"]}, collection(tmp_path / "s", vectors, texts), "books")
    assert ([chunk.id for chunk in corpus.chunks], corpus.note[:9]) == (["r0", "r1", "r2"], "1 records")
    with pytest.raises(DataError, match="it has books"):
        corpus_of_collection(models, str(tmp_path / "s"), "novels")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--store", "s"], "--store and --collection go together"),
        (["--chunks", "c.jsonl", "--store", "s", "--collection", "books"], "two corpora"),
        (["--chunks", "none.jsonl"], "none.jsonl"),
        (["c.jsonl"], "--chunks c.jsonl"),
    ],
)
def test_wrong_use_is_refused_before_anything_is_served(tiny, arguments, words):
    done = run_here("serve", "--model", tiny, "--port", 0, *arguments)
    assert (done.returncode, words in done.stderr) == (2, True), done.stderr


@pytest.fixture(scope="module")
def locked(tiny, tmp_path_factory):
    """The address of a server with a key and a collection that nobody made."""
    store = collection(tmp_path_factory.mktemp("store"), np.random.default_rng(0).normal(size=(4, 32)))
    over = ("--store", store, "--collection", "books", "--engine", "torch", "--precision", "fp32")
    with serving("--model", tiny, *over, "--api-key", "secret") as server:
        yield server.url


def test_only_who_has_the_key_is_told_anything_and_that_the_collection_is_stale(locked):
    assert httpx.get(locked).status_code == 200
    for path, body in (("models", None), ("search", json.dumps({"query": "lamp"}))):
        assert httpx.request("POST" if body else "GET", f"{locked}/try/{path}", content=body).status_code == 401
    said = httpx.get(f"{locked}/try/models", headers={"x-api-key": "secret"}).json()
    assert (said["models"][0]["stale"], "not searched" in said["models"][0]["origin"]) == (True, True)


@in_a_browser
def test_the_page_asks_for_the_key_and_stores_it_nowhere(locked):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        tab = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"]).new_page()
        tab.goto(locked)
        for key, outcome in (("wrong", "text=That is not the server's key"), ("secret", ".stale >> text=not searched")):
            tab.fill("#key", key)
            tab.keyboard.press("Enter")
            tab.wait_for_selector(outcome)
        tab.fill("#query", "lamp")
        tab.keyboard.press("Enter")
        tab.wait_for_selector(".hit")
        assert tab.evaluate("[localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]
        assert tab.locator(".badge").count() == 0
