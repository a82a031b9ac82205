from datetime import timedelta

import numpy as np
import pytest
from conftest import CORPUS, FAMILIES
from hypothesis import given
from hypothesis import strategies as st

from dragon_finetune import FineTunedEmbedder, TokenChunker, TokenCounter
from dragon_finetune.errors import DataError, ModelError, SettingsError, TokenLimitError
from dragon_finetune.hookspecs import Embedder

TEXTS = [text[:48] for text in CORPUS]


@pytest.fixture(scope="module", params=FAMILIES)
def model(request, tiny_models):
    return tiny_models[request.param]


@pytest.fixture(scope="module")
def embedder(model):
    return FineTunedEmbedder(model, device="cpu")


def reference(model, prompt, texts):
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(model), device="cpu", local_files_only=True).encode(
        texts, prompt=prompt, normalize_embeddings=True
    )


def test_the_hosts_contract_to_the_letter(embedder):
    # Era A calls positionally with three arguments, era B by keyword with a prefix that lacks its colon.
    result = embedder.embed_chunks(TEXTS, 100, False)
    assert isinstance(result, tuple)
    vectors, mean, most, elapsed = result
    assert isinstance(vectors, list)
    assert all(type(value) is float for vector in vectors for value in vector)
    assert {len(vector) for vector in vectors} == {32}
    counts = list(TokenCounter(embedder.folder).counts(TEXTS))
    assert (mean, most) == (sum(counts) / 4, max(counts))
    assert isinstance(elapsed, timedelta)
    assert elapsed > timedelta(0)
    again = embedder.embed_chunks(texts=TEXTS, show_progress=False, prefix="search_document")
    assert again[0] == vectors
    assert isinstance(embedder, Embedder)


def test_prompts_are_the_folders_own(embedder, model):
    prompts = embedder.folder.prompts
    np.testing.assert_allclose(embedder.embed_documents(TEXTS), reference(model, prompts.document, TEXTS), atol=1e-5)
    np.testing.assert_allclose(embedder.embed_query("who"), reference(model, prompts.query, ["who"])[0], atol=1e-5)
    as_query = embedder.embed_chunks(["who"], show_progress=False, prefix="search_query")[0][0]
    np.testing.assert_allclose(as_query, embedder.embed_query("who"), atol=1e-6)


@given(order=st.permutations(range(4)))
def test_order_is_kept_and_company_does_not_matter(tiny, order):
    embedder = FineTunedEmbedder(tiny, device="cpu")
    alone = np.array([embedder.embed_documents([text])[0] for text in TEXTS])
    together = np.array(embedder.embed_documents([TEXTS[index] for index in order]))
    assert (np.sum(together * alone[list(order)], axis=1) >= 0.99999).all()


def test_unknown_prefix_is_refused(embedder):
    with pytest.raises(SettingsError, match="Did you mean 'search_query'"):
        embedder.embed_chunks(["who"], prefix="serch_query")


LONG = "the lamp of the Oriel. " * 60


def test_overflow_is_an_error_that_names_the_texts(embedder):
    with pytest.raises(TokenLimitError, match=r"2 of 3 texts exceed the limit of 64 .*text 0 has \d+.*text 2 has"):
        embedder.embed_documents([LONG, "short", LONG])


def test_split_pools_pieces_by_token_count(model):
    embedder = FineTunedEmbedder(model, on_overflow="split", device="cpu")
    chunks = TokenChunker(embedder.folder).chunk(LONG)
    assert len(chunks) > 1
    pieces = np.array(embedder.embed_documents([chunk.text for chunk in chunks]))
    pooled = (pieces * np.array([[chunk.tokens] for chunk in chunks])).sum(axis=0)
    vectors, _, most, _ = embedder.embed_chunks(["short", LONG, "last"], show_progress=False)
    np.testing.assert_allclose(vectors[1], pooled / np.linalg.norm(pooled), atol=1e-5)
    np.testing.assert_allclose(vectors[2], embedder.embed_documents(["last"])[0], atol=1e-5)
    assert most == TokenCounter(embedder.folder).count(LONG)


def test_truncate_is_counted_and_said(model):
    embedder = FineTunedEmbedder(model, on_overflow="truncate", device="cpu")
    with pytest.warns(UserWarning, match=r"1 of 2 texts cut to 64 tokens; \d+ tokens lost"):
        vectors = embedder.embed_documents([LONG, "short"])
    np.testing.assert_allclose(vectors[0], reference(model, embedder.folder.prompts.document, [LONG])[0], atol=1e-5)


@pytest.mark.parametrize(("texts", "words"), [(["a", ""], "text 1: the text is empty"), (["a", 3], "found int 3")])
def test_bad_texts_are_named(embedder, texts, words):
    with pytest.raises(DataError, match=words):
        embedder.embed_chunks(texts)


def test_one_string_is_not_a_list_of_letters(embedder):
    with pytest.raises(DataError, match="give a list"):
        embedder.embed_documents("Ilse")


def test_no_texts_no_vectors(embedder):
    vectors, mean, most, elapsed = embedder.embed_chunks([])
    assert (vectors, mean, most) == ([], 0.0, 0)
    assert elapsed > timedelta(0)


def test_truncate_dim_is_normalised_again(tiny):
    full = np.array(FineTunedEmbedder(tiny, device="cpu").embed_query("who"))
    short = np.array(FineTunedEmbedder(tiny, device="cpu", truncate_dim=16).embed_query("who"))
    np.testing.assert_allclose(short, full[:16] / np.linalg.norm(full[:16]), atol=1e-5)


def test_building_is_cheap_and_the_model_is_shared(tiny):
    first, second = FineTunedEmbedder(tiny, device="cpu"), FineTunedEmbedder(tiny, device="cpu")
    assert first.model is second.model


def test_fingerprint_changes_with_whatever_changes_a_vector(tiny, tmp_path):
    import json
    import shutil

    copy = shutil.copytree(tiny, tmp_path / "copy")
    mark = FineTunedEmbedder(tiny).fingerprint
    assert FineTunedEmbedder(copy).fingerprint == mark
    assert FineTunedEmbedder(tiny, truncate_dim=16).fingerprint != mark
    assert FineTunedEmbedder(tiny, prompts={"query": "q: "}).fingerprint != mark
    (copy / "README.md").write_text("words", encoding="utf-8")
    assert FineTunedEmbedder(copy).fingerprint == mark
    pooling = json.loads((copy / "1_Pooling" / "config.json").read_text(encoding="utf-8"))
    (copy / "1_Pooling" / "config.json").write_text(json.dumps({**pooling, "pooling_mode": "cls"}), encoding="utf-8")
    assert FineTunedEmbedder(copy).fingerprint != mark


def test_test_connection_never_raises(tiny, tmp_path):
    assert FineTunedEmbedder(tiny, device="cpu").test_connection() is True
    with pytest.warns(UserWarning, match="No model folder"):
        assert FineTunedEmbedder(tmp_path / "none").test_connection() is False


def test_broken_weights_are_named(tiny, tmp_path):
    import shutil

    import torch
    from safetensors.torch import load_file, save_file

    copy = shutil.copytree(tiny, tmp_path / "nan")
    weights = {
        name: torch.full_like(tensor, float("nan")) for name, tensor in load_file(copy / "model.safetensors").items()
    }
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="not finite"):
        FineTunedEmbedder(copy, device="cpu").embed_query("who")
