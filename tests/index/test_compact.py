"""Compact vectors are sentence-transformers' own, of the whole corpus, and find nearly what the shards find."""

import numpy as np
import pytest
from conftest import CORPUS
from sentence_transformers.util import quantize_embeddings

from dragon_finetune import FineTunedEmbedder
from dragon_finetune.errors import DataError
from dragon_finetune.index import bulk
from dragon_finetune.index.bulk import embed_files
from dragon_finetune.index.compact import Compact, read_compact, to_binary, to_int8, write_compact

WORDS = " ".join(CORPUS).split()
TEXTS = [" ".join(WORDS[at : at + 6]) for at in range(30)]


def unit(rows, dimension, seed):
    vectors = np.random.default_rng(seed).normal(size=(rows, dimension)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture
def embedder(tiny):
    return FineTunedEmbedder(tiny, device="cpu", precision="fp32")


@pytest.mark.parametrize("dimension", [32, 30, 1])
def test_they_are_sentence_transformers_own(dimension):
    corpus, vectors = unit(50, dimension, 1), unit(20, dimension, 2) * 1.5  # some beyond the ranges
    ranges = np.stack([corpus.min(axis=0), corpus.max(axis=0)])
    np.testing.assert_array_equal(to_int8(vectors, ranges), quantize_embeddings(vectors, "int8", ranges=ranges))
    np.testing.assert_array_equal(to_binary(vectors), quantize_embeddings(vectors, "binary"))


@pytest.mark.parametrize("kind", ["int8", "binary"])
def test_a_file_holds_the_whole_corpus_by_ranges_of_all_shards(embedder, tmp_path, write_jsonl, monkeypatch, kind):
    monkeypatch.setattr(bulk, "_SHARD_ROWS", 8)
    embed_files([write_jsonl("chunks.jsonl", [{"text": text} for text in TEXTS])], tmp_path / "out", embedder)
    exact = embedder.encode(TEXTS, role="document")
    write_compact(tmp_path / "out", embedder, kind)
    found = read_compact(tmp_path / "out", embedder, kind)
    assert found.keys == embedder.vector_keys(TEXTS)
    expected = quantize_embeddings(exact, kind, ranges=np.stack([exact.min(axis=0), exact.max(axis=0)]))
    apart = np.abs(found.codes.astype(int) - expected.astype(int))
    assert (apart > (1 if kind == "int8" else 0)).mean() < 0.01  # batches of other lengths round otherwise
    assert embed_files([tmp_path / "chunks.jsonl"], tmp_path / "out", embedder).already_done == len(TEXTS)


def test_each_text_finds_itself_first(embedder):
    vectors = unit(200, 64, 3)
    ranges = np.stack([vectors.min(axis=0), vectors.max(axis=0)])
    for kind, codes in (("int8", to_int8(vectors, ranges)), ("binary", to_binary(vectors))):
        found = Compact([], codes, ranges, kind).nearest(vectors, 3)
        assert found.shape == (200, 3)
        assert (found[:, 0] == np.arange(200)).all()


def test_rescoring_finds_more_than_bits_alone():
    vectors, queries = unit(500, 64, 4), unit(50, 64, 5)
    exact = np.argsort(-(queries @ vectors.T), axis=1)[:, :10]
    compact = Compact([], to_binary(vectors), vectors[:2], "binary")

    def shared(found):
        return np.mean([len({*one} & {*two}) for one, two in zip(exact.tolist(), found.tolist(), strict=True)])

    ranges = np.stack([vectors.min(axis=0), vectors.max(axis=0)])
    finer = Compact([], to_int8(vectors, ranges), ranges, "int8")
    alone, again = (shared(compact.nearest(queries, rescored=times)) for times in (1, 4))
    assert alone < again < shared(compact.nearest(queries, rescored=4, by=finer))


def test_what_is_not_there_is_told(embedder, tmp_path):
    with pytest.raises(DataError, match="holds no vectors"):
        write_compact(tmp_path, embedder, "int8")
    with pytest.raises(DataError, match="--vectors binary"):
        read_compact(tmp_path, embedder, "binary")
