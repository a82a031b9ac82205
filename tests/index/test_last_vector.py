"""The host's own index, in which each batch left one record: its first text with the vector of its last."""

import functools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stores import build, kinds, last_vectors, like, make_texts, write_chunks

from dragon_finetune import FineTunedEmbedder
from dragon_finetune.index.batches import batch_length
from dragon_finetune.index.doctor import examine


@pytest.fixture(scope="module")
def embedder(tiny):
    return FineTunedEmbedder(tiny, device="cpu", precision="fp32")


@pytest.fixture(scope="module")
def stranger(tiny, tmp_path_factory):
    return like(tiny, tmp_path_factory.mktemp("stranger") / "model", 0.3)


def encoder(embedder, role="document"):
    return functools.partial(embedder.encode, role=role)


@pytest.mark.parametrize("with_chunks", [True, False])
@pytest.mark.parametrize(("count", "batch"), [(901, 100), (900, 100), (833, 32), (2101, 300)])
@pytest.mark.parametrize("role", ["document", None, "query"])
def test_it_is_misplaced_though_single_texts_agree(tmp_path, embedder, role, count, batch, with_chunks):
    # 901 and 2101: the last batch has one text, which is stored rightly.
    texts = make_texts(count)
    build(tmp_path / "store", *last_vectors(texts, encoder(embedder, role), batch))
    file = write_chunks(tmp_path / "books.jsonl", texts)
    health = examine(embedder, tmp_path / "store", chunks=[file] if with_chunks else [])
    assert kinds(health) == ["misplaced", "missing"] if with_chunks else ["misplaced"]
    assert "one vector was kept per batch" in str(health).lower()
    assert not health.fresh


@pytest.mark.parametrize("with_chunks", [True, False])
def test_every_collection_of_such_a_store_is_misplaced_however_few_its_records(tmp_path, embedder, with_chunks):
    sizes = {
        "narrative": {"book_chunks": 701, "chronology": 1},
        "reference": {"concepts": 2, "magic": 1, "prophecy": 3},
    }
    files = []
    for name, stems in sizes.items():
        for seed, (stem, count) in enumerate(stems.items(), start=10):
            texts = make_texts(count, seed)
            build(tmp_path / "store", *last_vectors(texts, encoder(embedder), 100), name, stem=stem)
            files.append(write_chunks(tmp_path / f"{stem}.jsonl", texts))
    health = examine(embedder, tmp_path / "store", chunks=files if with_chunks else [])
    assert [one.findings[0].kind for one in health.collections] == ["misplaced", "misplaced"]
    assert [one.same for one in health.collections] == [2, 1]


@pytest.mark.parametrize("given", ["chunks", "other", "both"])
def test_another_models_last_vectors_are_misplaced_too(tmp_path, embedder, stranger, given):
    texts = make_texts(800)
    build(tmp_path / "store", *last_vectors(texts, encoder(stranger), 100))
    file = write_chunks(tmp_path / "books.jsonl", texts)
    health = examine(
        embedder,
        tmp_path / "store",
        chunks=[] if given == "other" else [file],
        others=[] if given == "chunks" else [stranger.model_path],
    )
    assert kinds(health)[0] == "misplaced"
    assert given == "other" or "the first of every 100 chunks" in str(health)


def test_texts_that_come_twice_hide_nothing(tmp_path, embedder):
    texts = make_texts(700)
    texts[150] = texts[151] = texts[0]
    texts[460] = texts[200]
    build(tmp_path / "store", *last_vectors(texts, encoder(embedder), 100))
    health = examine(embedder, tmp_path / "store", chunks=[write_chunks(tmp_path / "books.jsonl", texts)])
    assert kinds(health)[0] == "misplaced"
    assert "the first of every 100 chunks" in str(health)


def test_vectors_that_changed_places_are_misplaced(tmp_path, embedder):
    texts = make_texts(60)
    vectors = encoder(embedder)(texts)
    build(tmp_path / "store", texts, [*vectors[1:], vectors[0]])
    health = examine(embedder, tmp_path / "store", chunks=[write_chunks(tmp_path / "books.jsonl", texts)])
    assert kinds(health) == ["misplaced"]
    assert "of every" not in str(health)


@pytest.mark.parametrize("with_chunks", [True, False])
@pytest.mark.parametrize("noise", [0.003, 0.3])
@pytest.mark.parametrize("whole", [True, False])
def test_other_models_are_not_taken_for_other_texts(tmp_path, tiny, embedder, noise, whole, with_chunks):
    texts = make_texts(200)
    other = like(tiny, tmp_path / "other", noise)
    vectors = [*embedder.encode([] if whole else texts[:100], role="document")]
    build(tmp_path / "store", texts, [*vectors, *other.encode(texts[len(vectors) :], role="document")])
    file = write_chunks(tmp_path / "books.jsonl", texts)
    health = examine(embedder, tmp_path / "store", chunks=[file] if with_chunks else [])
    assert kinds(health) == ["stale" if whole else "mixed"]


def test_a_part_of_a_file_by_another_model_is_stale_or_mixed_and_missing(tmp_path, embedder, stranger):
    texts = make_texts(300)
    build(tmp_path / "store", texts[:200], encoder(stranger)(texts[:200]))
    health = examine(embedder, tmp_path / "store", chunks=[write_chunks(tmp_path / "books.jsonl", texts)])
    assert kinds(health) == ["stale", "missing"]


@given(
    st.lists(st.sampled_from("abcdefghijkl"), min_size=1, max_size=14),
    st.integers(1, 15),
    st.sets(st.sampled_from("abcdefghijkl"), max_size=1),
)
def test_batches_are_known_whatever_texts_come_twice(texts, length, more):
    for stored in (set(texts[::length]), set(texts[::length]) | more):
        there = stored & set(texts)
        fitting = [n for n in range(2, len(texts) + 1) if set(texts[::n]) == there != set(texts)]
        found = batch_length(texts, stored)
        assert (found in fitting) if fitting else found is None
