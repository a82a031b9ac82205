"""Files that changed since they were loaded: what is in them no more is known, and can be taken out."""

import pytest

from dragon_finetune import FineTunedEmbedder
from dragon_finetune.files import write_jsonl
from dragon_finetune.index.bulk import embed_files
from dragon_finetune.index.chroma import open_client
from dragon_finetune.index.doctor import examine
from dragon_finetune.index.loading import load_collection

SENTENCES = [f"Bell {n}." for n in range(12)]


@pytest.fixture(scope="module")
def embedder(tiny):
    return FineTunedEmbedder(tiny, device="cpu", precision="fp32", engine="torch")


def page(number, size):
    """Return the chunks of one page, `size` sentences each, as `chunk` cuts and names them."""
    return [
        {"text": " ".join(SENTENCES[start : start + size]) + f" Page {number}.", "chunk_id": f"page_{number}#{place}"}
        for place, start in enumerate(range(0, 12, size))
    ]


def unnamed(number, size):
    return [{"text": chunk["text"]} for chunk in page(number, size)]


def load(files, embedder, tmp_path, **options):
    embed_files(files, tmp_path / "shards", embedder)
    return load_collection(files, tmp_path / "shards", embedder, str(tmp_path / "store"), "books", **options)


def texts_of(tmp_path):
    collection = open_client(tmp_path / "store").get_collection("books", embedding_function=None)
    return sorted(collection.get()["documents"])


@pytest.mark.parametrize("cut", [page, unnamed])
def test_what_is_in_a_file_no_more_is_surplus_until_it_is_replaced(embedder, tmp_path, cut):
    file, other = tmp_path / "pages.jsonl", tmp_path / "other.jsonl"
    write_jsonl(file, cut(1, 1))
    write_jsonl(other, cut(2, 3))
    load([file, other], embedder, tmp_path)
    write_jsonl(file, cut(1, 4))
    load([file, other], embedder, tmp_path)
    health = examine(embedder, tmp_path / "store", chunks=[file, other])
    assert [finding.kind for finding in health.collections[0].findings] == ["surplus"]
    assert "9 records" in health.collections[0].findings[0].message
    load([file], embedder, tmp_path, replace=True)
    assert texts_of(tmp_path) == sorted(chunk["text"] for chunk in [*cut(1, 4), *cut(2, 3)])
    assert examine(embedder, tmp_path / "store", chunks=[file, other]).fresh


def test_records_of_files_that_are_not_given_are_neither_surplus_nor_taken_out(embedder, tmp_path):
    files = [tmp_path / name / "pages.jsonl" for name in ("a", "b")]
    for number, file in enumerate(files):
        write_jsonl(file, unnamed(number, 3))
    load(files, embedder, tmp_path)
    assert examine(embedder, tmp_path / "store", chunks=files[:1]).fresh
    before = texts_of(tmp_path)
    load(files[:1], embedder, tmp_path, replace=True)
    assert texts_of(tmp_path) == before


def test_a_hosts_own_records_of_a_file_are_known_by_their_ids(embedder, tmp_path):
    file = tmp_path / "book_chunks.jsonl"
    write_jsonl(file, unnamed(1, 4))
    collection = open_client(tmp_path / "store").create_collection("narrative", embedding_function=None)
    texts = [chunk["text"] for chunk in unnamed(1, 4)] + ["A text cut otherwise."]
    ids = [f"book_chunks.embeddings_{row}" for row in range(len(texts))]
    collection.add(ids=ids, documents=texts, embeddings=list(embedder.encode(texts, role="document")))
    (health,) = examine(embedder, tmp_path / "store", chunks=[file]).collections
    assert [finding.kind for finding in health.findings] == ["surplus"]
