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
    config = TrainingConfig(base_model=routed(kind), output_dir=tmp_path / "tuned", max_steps=2, device="cpu")
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
