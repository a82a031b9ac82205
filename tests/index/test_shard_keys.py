"""What a shard's vector depends on: each ingredient changes its key, and nothing else does."""

import shutil
import warnings

import numpy as np
import pytest

from dragon_finetune import FineTunedEmbedder
from dragon_finetune.errors import DataError, TokenLimitError
from dragon_finetune.index.bulk import embed_files
from dragon_finetune.index.loading import load_collection
from dragon_finetune.index.shards import VectorStore

SHORT, LONG = "Who lit the lamp?", " ".join(["The tide went out and the bell of the Oriel rang."] * 30)


@pytest.fixture(autouse=True)
def quiet():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*texts cut to")
        yield


def embedder_of(model, **options):
    return FineTunedEmbedder(model, **{"device": "cpu", "precision": "fp32", "engine": "torch", **options})


@pytest.mark.parametrize(("first", "then"), [("truncate", "split"), ("split", "truncate")])
def test_a_text_over_the_limit_is_embedded_again_under_another_rule_and_others_are_not(
    tiny, tmp_path, write_jsonl, first, then
):
    file = write_jsonl("chunks.jsonl", [{"text": SHORT}, {"text": LONG}])
    embed_files([file], tmp_path / "out", embedder_of(tiny, on_overflow=first))
    embedder = embedder_of(tiny, on_overflow=then)
    done = embed_files([file], tmp_path / "out", embedder)
    assert (done.embedded, done.already_done) == (1, 1)
    store = VectorStore(tmp_path / "out", embedder)
    stored = np.stack([store.vector(key) for key in embedder.vector_keys([SHORT, LONG])])
    np.testing.assert_allclose(stored, embedder.encode([SHORT, LONG], role="document"), atol=1e-6)


def test_a_text_over_the_limit_is_refused_whatever_lies_in_the_shards(tiny, tmp_path, write_jsonl):
    file = write_jsonl("chunks.jsonl", [{"text": SHORT}, {"text": LONG}])
    embed_files([file], tmp_path / "out", embedder_of(tiny, on_overflow="truncate"))
    with pytest.raises(TokenLimitError):
        embed_files([file], tmp_path / "out", embedder_of(tiny))


@pytest.mark.parametrize("options", [{"engine": "auto"}, {"budget": 256}, {"on_overflow": "split"}])
def test_what_no_vector_depends_on_embeds_nothing_again(tiny, tmp_path, write_jsonl, options):
    file = write_jsonl("chunks.jsonl", [{"text": SHORT}])
    embed_files([file], tmp_path / "out", embedder_of(tiny))
    assert embed_files([file], tmp_path / "out", embedder_of(tiny, **options)).embedded == 0


@pytest.mark.parametrize("options", [{"prompts": {"document": "text: "}}, {"truncate_dim": 16}])
def test_what_a_vector_depends_on_embeds_it_again(tiny, tmp_path, write_jsonl, options):
    file = write_jsonl("chunks.jsonl", [{"text": SHORT}])
    embed_files([file], tmp_path / "out", embedder_of(tiny))
    assert embed_files([file], tmp_path / "out", embedder_of(tiny, **options)).embedded == 1


def test_a_chunk_that_is_not_in_the_shards_is_named_when_they_are_loaded(tiny, tmp_path, write_jsonl):
    file = write_jsonl("chunks.jsonl", [{"text": SHORT}])
    embedder = embedder_of(tiny)
    embed_files([file], tmp_path / "out", embedder)
    more = write_jsonl("more.jsonl", [{"text": SHORT}, {"text": "The bell rang."}])
    with pytest.raises(DataError, match=r"more.jsonl, line 2.*not embedded"):
        load_collection([more], tmp_path / "out", embedder, str(tmp_path / "store"), "books")
    shutil.rmtree(tmp_path / "store")


def test_vectors_of_half_precision_do_not_stand_for_those_of_fp32_that_were_asked_for(tiny, tmp_path, write_jsonl):
    file = write_jsonl("chunks.jsonl", [{"text": SHORT}])
    assert embed_files([file], tmp_path / "out", embedder_of(tiny, precision="bf16")).embedded == 1
    assert embed_files([file], tmp_path / "out", embedder_of(tiny, precision="auto")).embedded == 0
    embedder = embedder_of(tiny)
    assert embed_files([file], tmp_path / "out", embedder).embedded == 1
    assert embed_files([file], tmp_path / "out", embedder).embedded == 0
    assert embed_files([file], tmp_path / "out", embedder_of(tiny, precision="bf16")).embedded == 0
    stored = VectorStore(tmp_path / "out", embedder).vector(embedder.vector_keys([SHORT])[0])
    np.testing.assert_allclose(stored, embedder.encode([SHORT], role="document")[0], atol=1e-6)
