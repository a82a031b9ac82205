"""Joined stores of a model without prompts: made whole or not at all, and told apart by doctor."""

import shutil
import signal
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stores import build, kinds, make_texts

from dragon_finetune import FineTunedEmbedder
from dragon_finetune.embedding.dense import DenseEmbedder
from dragon_finetune.embedding.lexical_folder import Words, make_lexical_folder
from dragon_finetune.errors import DataError
from dragon_finetune.files import write_jsonl
from dragon_finetune.index.bulk import embed_files
from dragon_finetune.index.chroma import open_client, read_records
from dragon_finetune.index.collection import open_collection
from dragon_finetune.index.doctor import examine
from dragon_finetune.index.joined_copy import join_collection
from dragon_finetune.index.shards import VectorStore
from dragon_finetune.lexical.level import Level
from dragon_finetune.model_place import LEVEL

TEXTS = [f"{text}. So it was told, {n} times over." for n, text in enumerate(make_texts(40))]
few = settings(max_examples=8)


def opened(path, **options):
    return FineTunedEmbedder(path, device="cpu", precision="fp32", engine="torch", **options)


def made_of(model, folder, texts=TEXTS, **settings):
    return opened(make_lexical_folder(model, folder, Words(texts, dimensions=64, **settings)).path)


@pytest.fixture(scope="module")
def joined(tmp_path_factory):
    return made_of("embedded", tmp_path_factory.mktemp("minilm") / "model")


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    return made_of("embedded", tmp_path_factory.mktemp("other") / "model", [*TEXTS[20:], *["The oar was lost."] * 30])


@pytest.fixture(scope="module")
def of_joined(joined):
    return joined.encode(TEXTS, role="document")


@pytest.fixture(scope="module")
def of_other(other):
    return other.encode(TEXTS, role="document")


@pytest.fixture(scope="module")
def of_dense(joined):
    return joined.without_words.encode(TEXTS, role="document")


def names(store):
    return {collection.name for collection in open_client(store).list_collections()}


def contents(store, name):
    records = read_records(open_client(store).get_collection(name, embedding_function=None))
    return [(record.id, record.text, record.vector.tolist()) for record in records]


@few
@given(st.sampled_from([1, 2, 499, 501, 1001]), st.data())
def test_a_record_without_text_anywhere_is_refused_before_anything_is_made(joined, tmp_path_factory, size, data):
    place = data.draw(st.integers(0, size - 1))
    texts = [f"text {n}" for n in range(size)]
    texts[place] = data.draw(st.sampled_from(["", " \n"]))
    store = tmp_path_factory.mktemp("textless") / "store"
    build(store, texts, np.ones((size, 4)))
    with pytest.raises(DataError, match=rf"embeddings_{place}: it has no text"):
        join_collection(joined, store, "books", "joined")
    assert names(store) == {"books"}


def when_half_joined(store, act):
    """Start a thread that acts as soon as the new collection holds something, and return it."""

    def watch():
        client = open_client(store)
        for _ in range(6000):
            if "joined" in names(store):
                done = client.get_collection("joined", embedding_function=None).count()
                if done:
                    # Too late, and nothing fails: an interrupt then would stop the tests.
                    return act(client) if done < client.get_collection("books").count() else None
            time.sleep(0.005)
        return None

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


# An interrupt comes anywhere, in the middle of a listing of some folder too.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize(
    ("act", "error"),
    [
        (lambda client: client.delete_collection("books"), DataError),
        (lambda client: signal.raise_signal(signal.SIGINT), KeyboardInterrupt),
    ],
)
def test_a_join_that_fails_half_way_takes_away_what_it_made_and_nothing_else(
    tmp_path, joined, of_dense, there, act, error
):
    store = tmp_path / "store"
    build(store, TEXTS * 75, np.tile(of_dense, (75, 1)))
    if there:
        open_collection(open_client(store), "joined", joined)
    watching = when_half_joined(store, act)
    with pytest.raises(error):
        join_collection(joined, store, "books", "joined")
    watching.join()
    assert ("joined" in names(store)) == there


def test_what_is_refused_leaves_a_collection_that_was_there_as_it_was(tmp_path, joined, of_dense):
    store = tmp_path / "store"
    build(store, TEXTS, of_dense)
    join_collection(joined, store, "books", "joined")
    before = contents(store, "joined")
    open_client(store).get_collection("books", embedding_function=None).add(ids=["bare"], embeddings=[of_dense[0]])
    with pytest.raises(DataError, match="bare"):
        join_collection(joined, store, "books", "joined")
    assert contents(store, "joined") == before


@pytest.mark.parametrize("truncated", [None, 16, 98])
def test_a_joined_folder_given_as_another_is_found_to_be_the_maker(tmp_path, tiny, truncated):
    maker = made_of(tiny, tmp_path / "maker")
    build(tmp_path / "store", TEXTS, maker.encode(TEXTS, role="document"))
    embedder = opened("embedded", truncate_dim=truncated)
    health = examine(embedder, tmp_path / "store", others=[maker.model_path])
    assert kinds(health) == ["stale" if truncated == maker.dimension else "dimension"]
    assert f"those of {maker.model_path}" in str(health)


def test_a_joined_folder_is_found_to_be_the_maker_by_another_joined_one(tmp_path, tiny, joined):
    maker = made_of(tiny, tmp_path / "maker")
    build(tmp_path / "store", TEXTS, maker.encode(TEXTS, role="document"))
    build(tmp_path / "store", TEXTS, maker.without_words.encode(TEXTS, role="document"), "dense")
    health = examine(joined, tmp_path / "store", others=[maker.model_path])
    assert kinds(health) == ["dimension", "dimension"]
    assert str(health).count(f"those of {maker.model_path}") == 2


@pytest.mark.parametrize(("role", "how"), [("query", "as queries"), (None, "without a role")])
@pytest.mark.parametrize("distances", ["base", "native"])
def test_documents_joined_in_another_role_are_told_where_no_prompt_tells_them(tmp_path, role, how, distances):
    embedder = made_of("embedded", tmp_path / "model", distances=distances)
    build(tmp_path / "store", TEXTS, embedder.encode(TEXTS, role=role))
    health = examine(embedder, tmp_path / "store")
    assert kinds(health) == ["prompts"]
    assert how in str(health)


@few
@given(st.integers(0, len(TEXTS)), st.booleans())
def test_a_store_of_two_lexicons_is_mixed(tmp_path_factory, joined, of_joined, of_other, ours, first):
    vectors = [*of_joined[:ours], *of_other[ours:]]
    if not first:
        vectors = [*of_other[: len(TEXTS) - ours], *of_joined[len(TEXTS) - ours :]]
    store = tmp_path_factory.mktemp("mixed") / "store"
    build(store, TEXTS, vectors)
    health = examine(joined, store)
    assert kinds(health) == {0: ["lexicon"], len(TEXTS): []}.get(ours, ["mixed"])
    assert health.collections[0].same == ours


def test_texts_without_words_say_nothing_of_a_lexicon(tmp_path):
    one, two = (
        made_of("embedded", tmp_path / name, texts, distances="native")
        for name, texts in (("one", TEXTS), ("two", [*TEXTS[20:], *["The oar was lost."] * 30]))
    )
    texts = [*TEXTS[:20], *(f"?!{'.' * n}" for n in range(20))]
    build(tmp_path / "store", texts, two.encode(texts, role="document"))
    assert kinds(examine(one, tmp_path / "store")) == ["lexicon"]


def test_some_vectors_of_another_level_are_no_queries_of_a_level_that_has_one_sign(tmp_path, tiny_models):
    folder = shutil.copytree(tiny_models["wordpiece"], tmp_path / "model")
    Level(weight=0.3).save(folder / LEVEL)
    embedder = opened(folder)
    vectors = embedder.encode(TEXTS, role="document")
    vectors[-2:] = embedder.encode(TEXTS[-2:], role=None)
    build(tmp_path / "store", TEXTS, vectors)
    assert kinds(examine(embedder, tmp_path / "store")) == ["mixed"]


def test_what_the_dense_model_made_of_a_text_is_not_made_again_when_words_are_joined(joined, tmp_path, monkeypatch):
    file = tmp_path / "chunks.jsonl"
    write_jsonl(file, ({"chunk_id": str(n), "text": text} for n, text in enumerate(TEXTS)))
    embed_files([file], tmp_path / "out", joined.without_words)
    looked = []
    real = DenseEmbedder.embed
    monkeypatch.setattr(DenseEmbedder, "embed", lambda *a, **k: looked.append(a[1]) or real(*a, **k))
    assert embed_files([file], tmp_path / "out", joined).embedded == len(TEXTS)
    assert not looked
    monkeypatch.undo()
    found = VectorStore(tmp_path / "out", joined)
    vectors = np.stack([found.vector(key) for key in joined.vector_keys(TEXTS)])
    np.testing.assert_allclose(vectors, joined.encode(TEXTS, role="document"), atol=1e-5)
    assert found.precision_of(joined.vector_keys(TEXTS)) == "fp32"
