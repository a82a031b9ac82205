"""`documents: frozen`: documents go through the base, bit for bit; what queries go through is trained."""

import json
import shutil

import numpy as np
import pytest
from conftest import make_pairs, run_here, tokenizer_of
from model_families import old_layout
from runs_of_training import PAIRS, config

from dragon_finetune import EmbedBatch, FineTunedEmbedder, FineTuner, create_embedder
from dragon_finetune.codex.host_config import for_generation_c
from dragon_finetune.embedding.model import load_model
from dragon_finetune.errors import ModelError, SettingsError
from dragon_finetune.index.bulk import embed_each
from dragon_finetune.index.chroma import open_client
from dragon_finetune.index.collection import open_collection
from dragon_finetune.index.doctor import examine
from dragon_finetune.index.freshness import StaleIndexWarning, warn_if_stale
from dragon_finetune.index.shards import VectorStore
from dragon_finetune.model_folder import ModelFolder
from dragon_finetune.training.frozen import save_sides, with_query_side

DOCUMENTS = [pair["positive_text"] for pair in make_pairs(24)]
QUERIES = [pair["query"] for pair in make_pairs(24)]
EXACT = {"device": "cpu", "engine": "torch", "precision": "fp32"}


def frozen(model, out, **settings):
    return config(model, out, **{"documents": "frozen", "learning_rate": 1e-3, **settings})


@pytest.fixture(scope="module")
def turned(tmp_path_factory):
    """A model of others: both sides look up the same words; the vectors of queries are then turned, all alike."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Router, StaticEmbedding

    torch.manual_seed(0)
    tokenizer = tokenizer_of("byte_bpe").backend_tokenizer
    tokenizer.no_padding()
    tokenizer.no_truncation()
    words = StaticEmbedding(tokenizer, embedding_dim=32)
    turn = torch.linalg.qr(torch.eye(32) + 0.25 * torch.randn(32, 32))[0]
    turn = (turn * turn.diag().sign()).contiguous()
    dense = Dense(32, 32, bias=False, activation_function=None, init_weight=turn)
    sides = Router.for_query_document([words, dense, Normalize()], [words, Normalize()])
    path = tmp_path_factory.mktemp("turned") / "model"
    SentenceTransformer(modules=[sides], device="cpu").save_pretrained(str(path), create_model_card=False)
    return path


@pytest.fixture(scope="module")
def encoder(tiny, tmp_path_factory):
    """A query encoder, unproven."""
    out = tmp_path_factory.mktemp("encoder") / "tuned"
    return FineTuner(frozen(tiny, out, max_steps=3, validation_share=0)).train(PAIRS)


@pytest.fixture(scope="module")
def linear(turned, tmp_path_factory):
    """A map that turns the queries back."""
    pairs = [{**pair, "query": " ".join(pair["positive_text"].split()[:5])} for pair in make_pairs(160)]
    return FineTuner(frozen(turned, tmp_path_factory.mktemp("linear") / "tuned", max_steps=1)).train(pairs)


@pytest.fixture(params=["encoder", "linear"])
def made(request, tiny, turned):
    """A result, and its base."""
    return request.getfixturevalue(request.param), tiny if request.param == "encoder" else turned


def test_what_is_kept_is_said_with_the_difference_that_held_back_queries_show(linear, encoder):
    assert (encoder.kept, encoder.documents) == ("query encoder", "frozen")
    assert linear.kept == linear.verdict["candidate"] == "linear"
    assert linear.validation["linear"] == linear.validation["kept"] > linear.validation["base"]
    assert 0 < linear.verdict["low"] < linear.verdict["difference"] < linear.verdict["high"]
    assert "tried (linear) against the base: better, +0." in str(linear)
    assert "documents go through the base" in str(linear)


def test_documents_are_the_bases_bit_for_bit_and_queries_are_not(made):
    result, base = made
    tuned, before = (FineTunedEmbedder(path, **EXACT) for path in (result.path, base))
    np.testing.assert_array_equal(tuned.encode(DOCUMENTS, role="document"), before.encode(DOCUMENTS, role="document"))
    assert np.abs(tuned.encode(QUERIES, role="query") - before.encode(QUERIES, role="query")).max() > 1e-3
    assert tuned.document_fingerprint == before.document_fingerprint == result.document_fingerprint
    assert tuned.fingerprint == result.fingerprint != before.fingerprint


def test_a_batch_of_documents_is_marked_as_an_index_of_them_is(made):
    result, base = made
    (mark,) = EmbedBatch(result.path, **EXACT)({"text": DOCUMENTS[:1]})["fingerprint"]
    assert mark == FineTunedEmbedder(base).document_fingerprint != result.fingerprint


def test_sentence_transformers_gives_the_same_vectors(made):
    from sentence_transformers import SentenceTransformer

    result, _ = made
    plain = SentenceTransformer(str(result.path), device="cpu", local_files_only=True)
    ours = FineTunedEmbedder(result.path, **EXACT)
    for role, encode in (("query", plain.encode_query), ("document", plain.encode_document)):
        vectors = encode(DOCUMENTS)
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
        np.testing.assert_allclose(vectors, ours.encode(DOCUMENTS, role=role), atol=1e-5)
    np.testing.assert_array_equal(plain.encode(DOCUMENTS, prompt_name="document"), plain.encode_document(DOCUMENTS))


def test_a_host_asks_through_the_side_of_the_queries(made):
    result, _ = made
    host = create_embedder({"embedder": "finetuned", "finetuned": {"model_path": str(result.path), "engine": "torch",
                            "precision": "fp32", "device": "cpu"}})  # fmt: skip
    wanted = FineTunedEmbedder(result.path, **EXACT).encode(QUERIES[:1], role="query")[0]
    np.testing.assert_allclose(host.embed_query(QUERIES[0]), wanted, atol=1e-6)


def test_a_host_whose_own_manager_knows_no_sides_is_not_given_it(encoder):
    assert "can't load it" in for_generation_c(encoder.path)
    assert "a way of their own for queries" in for_generation_c(encoder.path)


def test_a_map_needs_no_second_encoder(tiny, tmp_path):
    import torch

    folder = ModelFolder.open(tiny)
    model = with_query_side(load_model(folder, device="cpu"))
    linear = next(
        module for module in model.modules() if getattr(module, "in_features", 0) == 32 and module.bias is False
    )
    linear.linear.weight.data = torch.linalg.qr(torch.randn(32, 32))[0].contiguous()
    save_sides(model, "linear", tmp_path / "made", folder)
    made, before = (FineTunedEmbedder(path, **EXACT) for path in (tmp_path / "made", tiny))
    wanted = before.encode(QUERIES, role="query") @ linear.linear.weight.detach().numpy().T
    np.testing.assert_allclose(made.encode(QUERIES, role="query"), wanted, atol=1e-5)
    encoders = [file for file in made.folder.path.rglob("*.safetensors") if file.stat().st_size > 10_000]
    assert [file.read_bytes() for file in encoders] == [(tiny / "model.safetensors").read_bytes()]


def test_the_bases_index_is_fresh_and_anothers_is_stale(made, tiny_models, tmp_path):
    result, base = made
    tuned = FineTunedEmbedder(result.path, **EXACT)
    for name, model in {"own": base, "others": tiny_models["unigram"]}.items():
        index = FineTunedEmbedder(model, **EXACT)
        collection = open_client(tmp_path).create_collection(name, embedding_function=None)
        vectors = index.encode(DOCUMENTS, role="document")
        collection.add(ids=[str(n) for n in range(24)], documents=DOCUMENTS, embeddings=list(vectors))
    own, others = (examine(tuned, tmp_path, collections=[name]) for name in ("own", "others"))
    assert list(own.troubles()) == []
    assert others.collections[0].findings[0].kind == "stale"


@pytest.mark.slow
def test_a_host_that_asks_an_index_of_the_base_is_not_warned_and_of_another_it_is(encoder, tiny, tiny_models, tmp_path):
    tuned = FineTunedEmbedder(encoder.path, **EXACT)
    for name, model in {"own": tiny, "others": tiny_models["unigram"]}.items():
        collection = open_client(tmp_path / name).create_collection("books", embedding_function=None)
        vectors = FineTunedEmbedder(model, **EXACT).encode(DOCUMENTS, role="document")
        collection.add(ids=[str(n) for n in range(24)], documents=DOCUMENTS, embeddings=list(vectors))
    warn_if_stale(tuned, str(tmp_path / "own"))
    with pytest.warns(StaleIndexWarning, match=r"not fit for .*tuned"):
        warn_if_stale(tuned, str(tmp_path / "others"))


def test_an_index_of_the_base_goes_on_and_nothing_is_embedded_again(made, tmp_path, write_jsonl):
    from dragon_finetune.chunks import read_chunks

    result, base = made
    before, tuned = (FineTunedEmbedder(path, **EXACT) for path in (base, result.path))
    file = write_jsonl("chunks.jsonl", [{"text": text} for text in DOCUMENTS])
    embed_each(list(read_chunks([file])), len(DOCUMENTS), tmp_path / "shards", before)
    assert len(VectorStore(tmp_path / "shards", tuned)) == len(DOCUMENTS)
    open_collection(open_client(tmp_path / "store"), "books", before)
    assert open_collection(open_client(tmp_path / "store"), "books", tuned).count() == 0


def test_where_nothing_is_shown_the_folder_is_the_bases_and_the_best_can_be_tried(tiny, tmp_path):
    result = FineTuner(frozen(tiny, tmp_path / "out", max_steps=1)).train(PAIRS)
    before = FineTunedEmbedder(tiny, **EXACT)
    assert result.kept == "base"
    assert result.fingerprint == result.document_fingerprint == before.fingerprint
    if result.unproven:
        spare = FineTunedEmbedder(result.path / "unproven", **EXACT)
        assert spare.document_fingerprint == before.fingerprint != spare.fingerprint


def test_a_base_with_words_keeps_its_words(tiny, tmp_path, write_jsonl):
    from dragon_finetune.embedding.lexical_folder import Words, make_lexical_folder

    texts = [f"{text} So it was told there." for text in DOCUMENTS]
    base = make_lexical_folder(tiny, tmp_path / "base", Words(texts, dimensions=64)).path
    result = FineTuner(frozen(base, tmp_path / "out", max_steps=2, validation_share=0)).train(PAIRS)
    tuned, before = (FineTunedEmbedder(path, **EXACT) for path in (result.path, base))
    np.testing.assert_array_equal(tuned.encode(DOCUMENTS, role="document"), before.encode(DOCUMENTS, role="document"))
    assert tuned.document_fingerprint == before.fingerprint
    judged = FineTuner(frozen(base, tmp_path / "judged", max_steps=1)).train(PAIRS)
    assert judged.verdict["base"] == judged.verdict["joined"]["base"]


@pytest.mark.parametrize("settings", [
    {"batch_size": 64, "matryoshka_dims": (16,)},
    {"false_negative_margin": 0.05},
    {"dropout": 0.5, "source": "hybrid"},
])  # fmt: skip
def test_the_other_settings_of_a_training_go_together_with_it(tiny, tmp_path, settings):
    source = settings.get("source", "")
    chosen = {name: value for name, value in settings.items() if name != "source"}
    pairs = [{**pair, "metadata": {"source": source}} for pair in make_pairs(80)]
    result = FineTuner(frozen(tiny, tmp_path / "out", max_steps=2, validation_share=0, **chosen)).train(pairs)
    assert result.document_fingerprint == FineTunedEmbedder(tiny).fingerprint != result.fingerprint


@pytest.mark.parametrize("settings", [
    {"max_seq_length": 32}, {"query_prompt": "ask: "}, {"document_prompt": ""}, {"lexicon": ["chunks.jsonl"]},
    {"distances": "base"}, {"lora_rank": 4},
], ids=lambda settings: next(iter(settings)))  # fmt: skip
def test_what_would_change_documents_is_refused_by_name(tiny, tmp_path, settings):
    with pytest.raises(SettingsError, match=f"documents is frozen, and .*{next(iter(settings))}"):
        frozen(tiny, tmp_path / "out", **settings)


def test_a_base_whose_index_could_not_be_told_from_anothers_is_refused_before_work(tiny, tmp_path):
    base = old_layout(shutil.copytree(tiny, tmp_path / "base"))
    with pytest.raises(ModelError, match="Save it anew"):
        FineTuner(frozen(base, tmp_path / "out")).train(PAIRS)
    assert not list(tmp_path.glob("out*"))


def test_the_command_trains_it_and_its_dry_run_plans_it(tiny, tmp_path, write_jsonl):
    file = write_jsonl("pairs.jsonl", PAIRS)
    settings = tmp_path / "settings.yaml"
    settings.write_text("device: cpu\nmax_steps: 2\nvalidation_share: 0\n", encoding="utf-8")
    common = ["train", file, "--base-model", tiny, "--config", settings, "--documents", "frozen", "--json"]
    assert json.loads(run_here(*common, "--output", tmp_path / "out", "--dry-run").stdout)["steps"] == 2
    done = run_here(*common, "--output", tmp_path / "out")
    told = json.loads(done.stdout)
    assert (told["kept"], told["documents"]) == ("query encoder", "frozen")
    again = run_here("train", file, "--base-model", tiny, "--config", settings, "--output", tmp_path / "out")
    assert again.returncode == 2
    assert "documents" in again.stderr
