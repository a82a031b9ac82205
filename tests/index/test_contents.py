"""What a store holds of the chunk files: all, a part, none, the beginnings of texts, or what is in them no more."""

import json

import pytest
from stores import build, kinds, make_texts, write_chunks

from dragon_finetune import FineTunedEmbedder
from dragon_finetune.index.chroma import open_client
from dragon_finetune.index.doctor import examine

TEXTS = make_texts(40)
OTHERS = make_texts(30, seed=8)


@pytest.fixture(scope="module")
def embedder(tiny):
    return FineTunedEmbedder(tiny, device="cpu", precision="fp32")


def encode(embedder, texts):
    return embedder.encode(texts, role="document")


def test_a_store_without_collections_is_not_fresh(tmp_path, embedder):
    open_client(tmp_path / "store").list_collections()
    assert (tmp_path / "store" / "chroma.sqlite3").is_file()
    for chunks in ([], [write_chunks(tmp_path / "books.jsonl", TEXTS)]):
        health = examine(embedder, tmp_path / "store", chunks=chunks)
        assert not health.fresh
        assert kinds(health) == ["no collections"]
        assert f"{tmp_path / 'store'}: no collections" in str(health)
        assert health.to_dict()["fresh"] is False


@pytest.mark.slow
def test_the_command_and_the_first_query_say_so_of_a_store_without_collections(tmp_path, cli, tiny, embedder):
    from dragon_finetune.index.freshness import StaleIndexWarning, warn_if_stale

    open_client(tmp_path / "vector_stores").list_collections()
    done = cli("doctor", "-m", tiny)
    assert (done.returncode, "no collections" in done.stdout) == (1, True), done.stderr
    done = cli("doctor", "-m", tiny, "--json")
    said = json.loads(done.stdout)
    assert (done.returncode, said["fresh"], said["findings"][0]["kind"]) == (1, False, "no collections")
    with pytest.warns(StaleIndexWarning, match="no collections"):
        warn_if_stale(embedder, str(tmp_path / "vector_stores"))


def test_a_file_of_which_nothing_is_indexed_is_named_and_its_chunks_are_not_missing(tmp_path, embedder):
    build(tmp_path / "store", TEXTS, encode(embedder, TEXTS))
    books, wiki = write_chunks(tmp_path / "books.jsonl", TEXTS), write_chunks(tmp_path / "wiki.jsonl", OTHERS)
    health = examine(embedder, tmp_path / "store", chunks=[wiki, books])
    assert kinds(health) == ["unindexed"]
    assert f"none of {wiki} is in the index (30 chunks)" in str(health)
    assert "books: fresh" in str(health)
    assert not health.fresh


def test_chunks_are_missing_from_the_files_that_are_indexed_in_part(tmp_path, embedder):
    build(tmp_path / "store", TEXTS[:35], encode(embedder, TEXTS[:35]))
    files = [write_chunks(tmp_path / name, texts) for name, texts in (("wiki.jsonl", OTHERS), ("books.jsonl", TEXTS))]
    health = examine(embedder, tmp_path / "store", chunks=files)
    assert kinds(health) == ["unindexed", "missing"]
    assert "5 of 40 chunks" in str(health)
    assert "books.jsonl, line 36" in str(health)


@pytest.mark.parametrize("first", [True, False])
def test_a_text_that_two_files_share_makes_no_file_half_indexed(tmp_path, embedder, first):
    build(tmp_path / "store", TEXTS, encode(embedder, TEXTS))
    books, wiki = (
        write_chunks(tmp_path / "books.jsonl", TEXTS),
        write_chunks(tmp_path / "wiki.jsonl", [*OTHERS, TEXTS[7]]),
    )
    health = examine(embedder, tmp_path / "store", chunks=[wiki, books] if first else [books, wiki])
    assert kinds(health) == ["unindexed"]
    assert "(31 chunks)" in str(health)


def test_texts_that_are_in_no_file_any_more_are_surplus_and_nothing_else(tmp_path, embedder):
    build(tmp_path / "store", TEXTS, encode(embedder, TEXTS))
    health = examine(embedder, tmp_path / "store", chunks=[write_chunks(tmp_path / "books.jsonl", TEXTS[:33])])
    assert kinds(health) == ["surplus"]
    assert "7 records" in str(health)


def test_records_that_came_from_elsewhere_are_only_noted(tmp_path, embedder):
    build(tmp_path / "store", TEXTS, encode(embedder, TEXTS))
    build(tmp_path / "store", OTHERS, encode(embedder, OTHERS), stem="wiki")
    health = examine(embedder, tmp_path / "store", chunks=[write_chunks(tmp_path / "books.jsonl", TEXTS)])
    assert health.fresh
    assert "30 records came from other files" in str(health)


@pytest.mark.parametrize("of_the_whole", [True, False])
def test_texts_that_were_cut_for_the_store_are_neither_missing_nor_surplus(tmp_path, embedder, of_the_whole):
    cut = [text[:30] for text in TEXTS]
    build(tmp_path / "store", cut, encode(embedder, TEXTS if of_the_whole else cut))
    health = examine(embedder, tmp_path / "store", chunks=[write_chunks(tmp_path / "books.jsonl", TEXTS)])
    assert kinds(health) == ["cut"]
    (one,) = health.collections
    assert one.same == one.sampled
    assert f"{sum(len(text) > 30 for text in TEXTS)} records hold only the beginning" in str(health)


def test_a_first_piece_of_a_text_that_was_cut_otherwise_is_surplus(tmp_path, embedder):
    halves = [half for text in TEXTS for half in (text[:20], text[20:])]
    build(tmp_path / "store", halves, encode(embedder, halves))
    health = examine(embedder, tmp_path / "store", chunks=[write_chunks(tmp_path / "books.jsonl", TEXTS)])
    assert kinds(health) == ["unindexed", "surplus"]


def test_records_without_texts_can_not_be_compared_and_are_said(tmp_path, embedder):
    vectors = encode(embedder, TEXTS)
    collection = open_client(tmp_path / "store").create_collection("books", embedding_function=None)
    collection.add(ids=[str(n) for n in range(len(TEXTS))], embeddings=list(vectors))
    assert kinds(examine(embedder, tmp_path / "store")) == ["textless"]
