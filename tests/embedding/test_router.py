"""A model of two encoders: queries go through the query's, documents through the documents'."""

import numpy as np
import pytest
from conftest import build_model, make_pairs

from dragon_finetune import FineTunedEmbedder, FineTuner, TrainingConfig
from dragon_finetune.errors import ModelError
from dragon_finetune.model_folder import ModelFolder

TEXTS = ["who lit the lamp", "Iron Jorun lit the lamp of the Oriel.", "nine knots of greywick"]


@pytest.fixture(scope="module")
def routed(tmp_path_factory):
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Router
    from sentence_transformers.sentence_transformer.modules import Normalize

    root = tmp_path_factory.mktemp("routed")
    halves = [SentenceTransformer(str(build_model(root / name, "byte_bpe", limit=48)), device="cpu") for name in "qd"]
    with torch.no_grad():
        for tensor in halves[1].parameters():
            tensor.add_(0.3 * torch.randn_like(tensor))
    router = Router.for_query_document([*halves[0]][:2], [*halves[1]][:2])
    model = SentenceTransformer(modules=[router, Normalize()], device="cpu", prompts=halves[0].prompts)
    model.save_pretrained(str(root / "model"), create_model_card=False)
    return root / "model"


def test_the_limit_is_that_of_its_encoders(routed):
    assert ModelFolder.open(routed).limit == 48


@pytest.mark.parametrize("engine", ["torch", "auto"])
def test_each_role_gets_its_own_encoder(routed, engine, recwarn):
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(routed), device="cpu")
    prompts = ModelFolder.open(routed).prompts
    embedder = FineTunedEmbedder(routed, device="cpu", precision="fp32", engine=engine)
    queries, documents = (embedder.encode(TEXTS, role=role) for role in ("query", "document"))
    np.testing.assert_allclose(queries, model.encode_query(TEXTS, prompt=prompts.query), atol=1e-5)
    np.testing.assert_allclose(documents, model.encode_document(TEXTS, prompt=prompts.document), atol=1e-5)
    assert np.abs(queries - documents).max() > 0.01
    assert embedder.embed_query(TEXTS[0]) == pytest.approx(queries[0].tolist(), abs=1e-5)


def test_it_is_not_trained_as_if_it_were_one(routed, tmp_path):
    config = TrainingConfig(base_model=str(routed), output_dir=tmp_path / "out", device="cpu", on_overflow="truncate")
    with pytest.raises(ModelError, match="two encoders"):
        FineTuner(config).train(make_pairs(20))


def test_without_a_role_there_is_no_encoder_to_choose(routed):
    embedder = FineTunedEmbedder(routed, device="cpu", precision="fp32", engine="torch")
    with pytest.raises(Exception, match=r"query and document encoders.*say which"):
        embedder.encode(TEXTS, role=None)
