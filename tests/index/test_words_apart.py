"""What doctor says of stores whose vectors have other words in them than the model, or none; and joining one."""

import chromadb
import numpy as np
import pytest
from stores import build, kinds, like, make_texts

from dragon_finetune import FineTunedEmbedder
from dragon_finetune.embedding.lexical_folder import Words, make_lexical_folder
from dragon_finetune.errors import DataError, StaleIndexError
from dragon_finetune.index.chroma import open_client, read_records
from dragon_finetune.index.doctor import examine
from dragon_finetune.index.freshness import StaleIndexWarning, warn_if_stale
from dragon_finetune.index.joined_copy import join_collection

TEXTS = [f"{text}. So it was told, {n} times over." for n, text in enumerate(make_texts(40))]


def opened(path, **options):
    return FineTunedEmbedder(path, device="cpu", precision="fp32", engine="torch", **options)


@pytest.fixture(scope="module")
def folder(tiny, tmp_path_factory):
    return make_lexical_folder(tiny, tmp_path_factory.mktemp("words") / "model", Words(TEXTS, dimensions=128)).path


@pytest.fixture(scope="module")
def joined(folder):
    return opened(folder)


@pytest.fixture(scope="module")
def dense(tiny):
    return opened(tiny)


def stored(tmp_path, embedder, texts=TEXTS, role="document"):
    build(tmp_path / "store", texts, embedder.encode(texts, role=role))
    return tmp_path / "store"


def test_a_store_of_its_own_is_fresh_and_unknown_words_are_counted(tmp_path, joined):
    health = examine(joined, stored(tmp_path, joined))
    assert health.fresh
    assert "0.0% of the words" in str(health)


def test_many_unknown_words_ask_for_a_new_lexicon(tmp_path, joined):
    new = [f"Vlemp{n} {text[:40]}" for n, text in enumerate(TEXTS)]
    health = examine(joined, stored(tmp_path, joined, new))
    assert health.fresh
    assert "Make a new lexicon" in str(health)


def test_a_dense_store_is_told_with_what_joins_it(tmp_path, joined, dense):
    health = examine(joined, stored(tmp_path, dense))
    assert kinds(health) == ["lexical"]
    assert "--add-to" in str(health)


@pytest.mark.parametrize(
    "words",
    [
        Words(TEXTS, dimensions=256),
        Words(TEXTS, dimensions=128, share=0.2),
        Words([*TEXTS[20:], *["The oar of ash. It was lost."] * 40], dimensions=128),
        Words(TEXTS, dimensions=128, distances="native"),
    ],
)
def test_another_lexicon_share_or_level_is_told(tmp_path, tiny, joined, words):
    other = make_lexical_folder(tiny, tmp_path / "model", words).path
    assert kinds(examine(joined, stored(tmp_path, opened(other)))) == ["lexicon"]


def test_a_dense_model_asked_of_a_joined_store_is_told(tmp_path, joined, dense):
    health = examine(dense, stored(tmp_path, joined))
    assert kinds(health) == ["lexicon"]
    assert "which" in str(health)


def test_other_prompts_are_still_told(tmp_path, joined, folder):
    silent = opened(folder, prompts={"document": ""})
    health = examine(joined, stored(tmp_path, silent))
    assert kinds(health) == ["prompts"]


def test_another_model_is_still_told(tmp_path, joined, folder):
    other = like(folder, tmp_path / "other", 0.3)
    assert kinds(examine(joined, stored(tmp_path, other))) == ["stale"]


def test_half_a_run_of_another_model_is_still_told(tmp_path, joined, folder):
    other = like(folder, tmp_path / "other", 0.3)
    vectors = joined.encode(TEXTS, role="document")
    vectors[20:] = other.encode(TEXTS[20:], role="document")
    build(tmp_path / "store", TEXTS, vectors)
    assert kinds(examine(joined, tmp_path / "store")) == ["mixed"]


def test_the_check_before_the_first_query_warns_of_a_dense_store(tmp_path, joined, dense):
    with pytest.warns(StaleIndexWarning, match="lexical"):
        warn_if_stale(joined, str(stored(tmp_path, dense)))


@pytest.mark.parametrize("space", [None, "cosine", "ip"])
def test_a_dense_collection_is_joined_without_embedding_again(tmp_path, joined, dense, space):
    build(tmp_path / "store", TEXTS, dense.encode(TEXTS, role="document"), space=space)
    assert join_collection(joined, tmp_path / "store", "books", "joined") == len(TEXTS)
    health = examine(joined, tmp_path / "store", collections=["joined"])
    assert health.fresh
    assert health.collections[0].space == (space or "l2")
    client = open_client(tmp_path / "store")
    old, new = (
        list(read_records(client.get_collection(name, embedding_function=None))) for name in ("books", "joined")
    )
    assert [(each.id, each.text, each.metadata) for each in old] == [
        (each.id, each.text, each.metadata) for each in new
    ]
    assert np.allclose([each.vector for each in new], joined.encode(TEXTS, role="document"), atol=1e-5)
    # Once more does no harm: what is there is written again.
    assert join_collection(joined, tmp_path / "store", "books", "joined") == len(TEXTS)


def test_what_cant_be_joined_is_refused_with_the_reason(tmp_path, joined, dense, folder):
    other = like(folder, tmp_path / "other", 0.3)
    store = tmp_path / "store"
    build(store, TEXTS, other.like(dense_only=True).encode(TEXTS, role="document"), "stale")
    build(store, TEXTS, np.ones((len(TEXTS), 7)), "narrow")
    build(store, TEXTS, dense.encode(TEXTS, role="document"), "books")
    for name, error, words in (
        ("stale", StaleIndexError, "stale"),
        ("narrow", StaleIndexError, "7 dimensions"),
        ("nowhere", DataError, "no collection 'nowhere'"),
        ("joined", DataError, "the name of the old one"),
    ):
        with pytest.raises(error, match=words):
            join_collection(joined, store, name, "joined")
    with pytest.raises(DataError, match="no lexicon"):
        join_collection(dense, store, "books", "joined")
    with pytest.raises(DataError, match="no Chroma store"):
        join_collection(joined, tmp_path / "nothing", "books", "joined")
    present = {collection.name for collection in open_client(store).list_collections()}
    assert present == {"stale", "narrow", "books"}


def test_records_without_texts_cant_be_joined(tmp_path, joined, dense):
    vectors = dense.encode(TEXTS, role="document")
    build(tmp_path / "store", TEXTS, vectors)
    collection = open_client(tmp_path / "store").get_collection("books", embedding_function=None)
    assert isinstance(collection, chromadb.Collection)
    collection.add(ids=["bare"], embeddings=[vectors[0]])
    with pytest.raises(DataError, match="bare"):
        join_collection(joined, tmp_path / "store", "books", "joined")
