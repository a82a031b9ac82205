"""Doctor knows an int8 index, and passes no pairing of precisions that nobody measured."""

from dataclasses import replace

import pytest
from conftest import CORPUS

from dragon_finetune import FineTunedEmbedder
from dragon_finetune.embedding.int8 import Pairing
from dragon_finetune.embedding.quantising import quantise
from dragon_finetune.errors import StaleIndexError
from dragon_finetune.index.bulk import embed_files
from dragon_finetune.index.chroma import Record, open_client, upsert
from dragon_finetune.index.collection import open_collection, require_loadable
from dragon_finetune.index.doctor import examine
from dragon_finetune.index.loading import load_collection
from dragon_finetune.index.shards import VectorStore

WORDS = " ".join(CORPUS).split()
TEXTS = [" ".join(WORDS[at : at + 6]) for at in range(24)]
GOOD, BAD = (0.001, -0.004, 0.006, 0.97, 225), (-0.01, -0.02, 0.001, 0.90, 225)

pytestmark = pytest.mark.filterwarnings("ignore:int8 of .* is unmeasured")


@pytest.fixture
def made(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("DRAGON_FINETUNE_CACHE", str(tmp_path / "cache"))
    form = quantise(tiny, TEXTS)
    form.put_in_use()
    return form


def embedder(model, precision):
    return FineTunedEmbedder(model, precision=precision, device="cpu")


def store(folder, *parts):
    """Make a store of texts, each part of them by an embedder of its own."""
    client = open_client(folder)
    collection = client.create_collection("books", embedding_function=None)
    for start, (by, texts) in enumerate(parts):
        vectors = by.encode(texts, role="document")
        rows = enumerate(zip(texts, vectors, strict=True))
        upsert(client, collection, [Record(f"{start}_{row}", text, vector, {}) for row, (text, vector) in rows])
    return folder


def look(by, folder):
    health = examine(by, folder)
    return [finding.kind for finding in health.collections[0].findings], "\n".join(health.collections[0].notes)


def pairings(**figures):
    return tuple(Pairing(*name.split("_"), *found) for name, found in figures.items())


def test_an_accepted_int8_index_is_fresh(tiny, made, tmp_path):
    folder = store(tmp_path / "store", (embedder(tiny, "int8"), TEXTS))
    replace(made, pairings=pairings(int8_int8=GOOD, int8_fp32=GOOD)).put_in_use()
    for precision in ("int8", "fp32", "auto"):
        found, notes = look(embedder(tiny, precision), folder)
        assert found == []
        queries = "int8" if precision == "int8" else "fp32"
        assert f"documents int8, queries {queries}: nDCG@10 +0.0010" in notes


def test_what_nobody_measured_or_what_was_refused_is_not(tiny, made, tmp_path):
    quick, exact = (store(tmp_path / name, (embedder(tiny, name), TEXTS)) for name in ("int8", "fp32"))
    assert look(embedder(tiny, "fp32"), quick)[0] == ["unmeasured"]
    assert look(embedder(tiny, "int8"), quick)[0] == ["unmeasured"]
    assert look(embedder(tiny, "int8"), exact)[0] == ["unmeasured"]
    assert look(embedder(tiny, "fp32"), exact)[0] == []
    replace(made, pairings=pairings(int8_int8=GOOD, int8_fp32=BAD)).put_in_use()
    assert look(embedder(tiny, "fp32"), quick)[0] == ["refused"]
    assert look(embedder(tiny, "int8"), exact)[0] == ["unmeasured"]
    replace(made, pairings=pairings(int8_int8=BAD, int8_fp32=GOOD, fp32_int8=BAD)).put_in_use()
    assert look(embedder(tiny, "int8"), quick)[0] == []


def test_a_mixture_of_documents_is_found(tiny, made, tmp_path):
    both = (embedder(tiny, "int8"), TEXTS[:12]), (embedder(tiny, "fp32"), TEXTS[12:])
    folder = store(tmp_path / "store", *both)
    replace(made, pairings=pairings(int8_int8=GOOD, int8_fp32=GOOD, fp32_int8=GOOD)).put_in_use()
    for precision in ("int8", "fp32"):
        assert look(embedder(tiny, precision), folder)[0] == ["mixed"]


def test_shards_and_collections_keep_them_apart(tiny, made, tmp_path, write_jsonl):
    file = write_jsonl("chunks.jsonl", [{"text": text} for text in TEXTS])
    quick, exact = embedder(tiny, "int8"), embedder(tiny, "fp32")
    assert embed_files([file], tmp_path / "shards", exact).embedded == len(TEXTS)
    assert embed_files([file], tmp_path / "shards", quick).embedded == len(TEXTS)
    assert embed_files([file], tmp_path / "shards", quick).already_done == len(TEXTS)
    shards = VectorStore(tmp_path / "shards", quick)
    assert shards.precision_of(quick.vector_keys(TEXTS)) == "int8"
    open_collection(open_client(tmp_path / "chroma"), "books", quick)
    require_loadable(str(tmp_path / "chroma"), "books", quick)
    with pytest.raises(StaleIndexError):
        require_loadable(str(tmp_path / "chroma"), "books", exact)


def test_an_int8_index_of_another_machine_is_not_passed(tiny, made, tmp_path, write_jsonl, monkeypatch):
    file = write_jsonl("chunks.jsonl", [{"text": text} for text in TEXTS])
    embed_files([file], tmp_path / "shards", embedder(tiny, "int8"))
    load_collection([file], tmp_path / "shards", embedder(tiny, "int8"), str(tmp_path / "chroma"), "books")
    replace(made, pairings=pairings(int8_int8=GOOD, int8_fp32=GOOD)).put_in_use()
    assert look(embedder(tiny, "fp32"), tmp_path / "chroma")[0] == []
    quantise(tiny, TEXTS[:9]).put_in_use()
    assert look(embedder(tiny, "fp32"), tmp_path / "chroma")[0][:1] == ["unmeasured"]
    monkeypatch.setenv("DRAGON_FINETUNE_CACHE", str(tmp_path / "elsewhere"))
    assert look(embedder(tiny, "fp32"), tmp_path / "chroma")[0][:1] == ["unmeasured"]
