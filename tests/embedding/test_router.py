"""A model with an encoder for queries and one for documents: each text goes the way of its role."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import make_pairs
from model_families import WORDS, family_modules

from dragon_finetune import FineTunedEmbedder, FineTuner, TokenCounter, TrainingConfig, audit_tokens
from dragon_finetune.embedding.routes import input_module
from dragon_finetune.errors import ModelError, TokenLimitError
from dragon_finetune.model_folder import ModelFolder, Prompts
from dragon_finetune.pair import Pair

TEXTS = ["the tide", "salt heron wick ledger oar", "the lamp the bell"]
PROMPTS = {"query": "rope ", "document": "keel "}


def static_modules(tokenizer) -> list:
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding

    return [StaticEmbedding(tokenizer.backend_tokenizer, embedding_dim=16)]


def ways(root: Path, kind: str):
    """Return a router of a kind, and the modules behind it."""
    from sentence_transformers.sentence_transformer.modules import Dense, Router

    documents = family_modules(root / "documents", "roberta")
    if kind == "two transformers":
        return [Router.for_query_document(family_modules(root / "queries", "bert", seed=1), documents)]
    if kind == "static queries":
        return [Router.for_query_document(static_modules(documents[0].tokenizer), documents)]
    if kind == "mapped names":
        two = {"short": family_modules(root / "queries", "bert", seed=1), "long": documents}
        return [Router(two, route_mappings={("query", "text"): "short", ("document", None): "long"})]
    # The router stands behind: one encoder, two projections.
    return [*documents, Router.for_query_document([Dense(16, 16)], [Dense(16, 16)])]


KINDS = ["two transformers", "static queries", "mapped names", "projections"]


@pytest.fixture(scope="module")
def routed(tmp_path_factory):
    import torch
    from sentence_transformers import SentenceTransformer

    root, built = tmp_path_factory.mktemp("routed"), {}

    def model(kind):
        if kind not in built:
            torch.manual_seed(0)
            made = SentenceTransformer(modules=ways(root / kind, kind), prompts=PROMPTS, device="cpu")
            built[kind] = root / kind / "model"
            made.save_pretrained(str(built[kind]), create_model_card=False)
        return built[kind]

    return model


def expected(model):
    from sentence_transformers import SentenceTransformer

    plain = SentenceTransformer(str(model), device="cpu", local_files_only=True)
    return {
        "query": plain.encode_query(TEXTS, normalize_embeddings=True),
        "document": plain.encode_document(TEXTS, normalize_embeddings=True),
        None: plain.encode(TEXTS, normalize_embeddings=True, prompt=""),
    }


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("role", ["query", "document", None])
def test_vectors_are_those_of_sentence_transformers(kind, role, routed):
    embedder = FineTunedEmbedder(routed(kind), device="cpu", engine="torch", precision="fp32")
    np.testing.assert_allclose(embedder.encode(TEXTS, role=role), expected(routed(kind))[role], atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_openvino_steps_back_to_torch_whatever_was_converted_before(kind, routed, tmp_path):
    model = shutil.copytree(routed(kind), tmp_path / "model")
    chosen = FineTunedEmbedder(model, device="cpu")
    with pytest.warns(UserWarning, match="OpenVINO can't follow a router"):
        assert chosen.engine.name.startswith("torch")
    # A version that knew no router would have left this.
    (chosen.dense._choice._cache / "openvino").mkdir(parents=True)
    (chosen.dense._choice._cache / "openvino" / "model.xml").write_text("", encoding="utf-8")
    for embedder in (chosen, chosen.like()):
        np.testing.assert_allclose(embedder.encode(TEXTS, role="query"), expected(model)["query"], atol=2e-2)
    with pytest.raises(ModelError, match="OpenVINO can't follow a router"):
        FineTunedEmbedder(model, device="cpu", engine="openvino", precision="fp32").embed_query("the tide")


def test_each_role_is_counted_by_its_own_tokenizer_and_the_lowest_limit_holds(routed):
    folder = ModelFolder.open(routed("two transformers"))
    assert folder.limit == 38
    assert ModelFolder.open(routed("static queries")).limit == 38
    assert TokenCounter(routed("static queries"), prompt="query").count("the tide") >= 3
    with pytest.raises(TokenLimitError):
        FineTunedEmbedder(folder.path, device="cpu", engine="torch").embed_documents(["the " * 60])
    assert audit_tokens([*make_pairs(3), {"query": "the " * 60, "positive_text": "the"}], folder.path).over_limit == 1


@pytest.mark.parametrize("kind", KINDS)
def test_each_encoder_is_trained_on_the_texts_of_its_role(kind, routed, tmp_path):
    from dragon_finetune.embedding.model import load_model
    from dragon_finetune.embedding.torch_engine import TorchEngine
    from dragon_finetune.training.datasets import Examples
    from dragon_finetune.training.fitting import fit

    pairs = [Pair(f"{WORDS[n]} {WORDS[n + 1]}", f"{WORDS[n + 1]} {WORDS[n]}") for n in range(8)]
    seen = {"query": [], "document": []}
    model = load_model(ModelFolder.open(routed(kind)), device="cpu")
    for role in seen:
        module = input_module(model, role) if kind != "projections" else model[-1].sub_modules[role][0]
        module.register_forward_pre_hook(lambda _, features, role=role: seen[role].append(features[0]["input_ids"]))
    before = {role: TorchEngine(model, "fp32").embed(TEXTS, "", role) for role in seen}
    for texts in seen.values():
        texts.clear()
    config = TrainingConfig(
        base_model=routed(kind), output_dir=tmp_path / "tuned", max_steps=2, device="cpu", halves=False
    )
    fit(model, config, Prompts(**PROMPTS), Examples.of(pairs), tmp_path / "checkpoints", [], None)
    model.eval()
    prompts = {role: 4 + WORDS.index(prompt.strip()) for role, prompt in PROMPTS.items()}
    for role, other in (("query", "document"), ("document", "query")):
        tokens = {token for batch in seen[role] for token in batch.flatten().tolist()}
        assert prompts[role] in tokens
        assert prompts[other] not in tokens
        assert not np.allclose(TorchEngine(model, "fp32").embed(TEXTS, "", role), before[role], atol=1e-7)


def test_a_routed_base_is_trained_from_end_to_end(routed, tmp_path):
    config = TrainingConfig(
        base_model=routed("two transformers"), output_dir=tmp_path / "tuned", max_steps=2, device="cpu"
    )
    result = FineTuner(config).train(make_pairs(40))
    tuned = FineTunedEmbedder(result.path, device="cpu", engine="torch", precision="fp32")
    np.testing.assert_allclose(tuned.encode(TEXTS, role="query"), expected(result.path)["query"], atol=1e-5)


@pytest.fixture
def documents_alone(routed, tmp_path):
    """Return a function that gives a folder of what the documents of a router of a kind go through."""
    from sentence_transformers import SentenceTransformer

    from dragon_finetune.embedding.routes import way

    def folder(kind):
        modules = way(SentenceTransformer(str(routed(kind)), device="cpu", local_files_only=True), "document")
        SentenceTransformer(modules=modules, prompts=PROMPTS, device="cpu").save_pretrained(
            str(tmp_path / "documents"), create_model_card=False
        )
        return tmp_path / "documents"

    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_an_index_depends_on_what_documents_go_through_alone(kind, routed, documents_alone, tmp_path):
    alone, model = FineTunedEmbedder(documents_alone(kind)), FineTunedEmbedder(routed(kind))
    # Of two limits the lower is a router's: with another its documents are other documents.
    if alone.folder.limit == model.folder.limit:
        assert model.document_fingerprint == alone.fingerprint == alone.document_fingerprint
        assert model.recognises(alone.fingerprint)
    assert model.fingerprint != model.document_fingerprint
    assert model.recognises(model.fingerprint)  # earlier versions knew no sides
    assert not alone.recognises(model.fingerprint)
    for side, same in (("query", True), ("document", False)):
        copy = shutil.copytree(routed(kind), tmp_path / side)
        file = next(iter(sorted(copy.rglob(f"{SIDES[kind][side]}*/*.safetensors"))))
        content = bytearray(file.read_bytes())
        content[-1] ^= 1
        file.write_bytes(bytes(content))
        changed = FineTunedEmbedder(copy)
        assert changed.fingerprint != model.fingerprint
        assert (changed.document_fingerprint == model.document_fingerprint) == same


SIDES = {kind: {"query": "query_", "document": "document_"} for kind in KINDS}
SIDES["mapped names"] = {"query": "short_", "document": "long_"}


@pytest.mark.parametrize("kind", ["two transformers", "projections"])
def test_the_doctor_looks_at_the_side_of_the_documents(kind, routed, documents_alone, tmp_path):
    from dragon_finetune.index.chroma import open_client
    from dragon_finetune.index.doctor import examine

    # Differing words in differing order: nearly the same text has nearly the same vector.
    texts = [f"{WORDS[n]} {WORDS[(5 * n + 1) % 12]} {WORDS[(n * n) % 12]}" for n in range(12)]
    model = FineTunedEmbedder(routed(kind), device="cpu", engine="torch", precision="fp32")
    alone = model.like(documents_alone(kind))
    vectors = {"fresh": alone.encode(texts, role="document"), "stale": model.encode(texts, role="query")}
    for name, each in vectors.items():
        collection = open_client(tmp_path / "store").create_collection(name, embedding_function=None)
        collection.add(ids=[str(n) for n in range(12)], documents=texts, embeddings=list(each))
    found = {name: examine(model, tmp_path / "store", collections=[name]) for name in vectors}
    assert list(found["fresh"].troubles()) == []
    assert "prompts" in [finding.kind for finding in found["stale"].collections[0].findings]
