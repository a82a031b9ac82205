import json
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
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


@pytest.fixture(scope="module", params=["torch", "openvino"])
def embedder(model, request):
    return FineTunedEmbedder(model, device="cpu", engine=request.param, precision="fp32")


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
    embedder = FineTunedEmbedder(tiny, device="cpu", precision="fp32")
    alone = np.array([embedder.embed_documents([text])[0] for text in TEXTS])
    together = np.array(embedder.embed_documents([TEXTS[index] for index in order]))
    assert (np.sum(together * alone[list(order)], axis=1) >= 0.99999).all()


@pytest.mark.parametrize("rule", ["error", "split"])
def test_equal_texts_are_embedded_once(tiny, monkeypatch, rule):
    embedder = FineTunedEmbedder(tiny, device="cpu", engine="openvino", precision="fp32", on_overflow=rule)
    seen, embed = [], embedder.engine.embed
    monkeypatch.setattr(embedder.engine, "embed", lambda texts, *how: seen.extend(texts) or embed(texts, *how))
    long = [LONG, LONG] if rule == "split" else []
    vectors = embedder.encode([TEXTS[0], TEXTS[1], TEXTS[0], *long], role="document")
    assert len(seen) == len(set(seen))
    assert vectors.shape == (3 + len(long), 32)
    assert (vectors[0] == vectors[2]).all()
    assert not np.allclose(vectors[0], vectors[1])


def test_unknown_prefix_is_refused(embedder):
    with pytest.raises(SettingsError, match="Did you mean 'search_query'"):
        embedder.embed_chunks(["who"], prefix="serch_query")


LONG = "the lamp of the Oriel. " * 60


def test_overflow_is_an_error_that_names_the_texts(embedder):
    with pytest.raises(TokenLimitError, match=r"2 of 3 texts exceed the limit of 64 .*text 0 has \d+.*text 2 has"):
        embedder.embed_documents([LONG, "short", LONG])


def test_split_pools_pieces_by_token_count(model):
    embedder = FineTunedEmbedder(model, on_overflow="split", device="cpu", precision="fp32")
    chunks = TokenChunker(embedder.folder).chunk(LONG)
    assert len(chunks) > 1
    pieces = np.array(embedder.embed_documents([chunk.text for chunk in chunks]))
    pooled = (pieces * np.array([[chunk.tokens] for chunk in chunks])).sum(axis=0)
    vectors, _, most, _ = embedder.embed_chunks(["short", LONG, "last"], show_progress=False)
    np.testing.assert_allclose(vectors[1], pooled / np.linalg.norm(pooled), atol=1e-5)
    np.testing.assert_allclose(vectors[2], embedder.embed_documents(["last"])[0], atol=1e-5)
    assert most == TokenCounter(embedder.folder).count(LONG)


def test_truncate_is_counted_and_said(model):
    embedder = FineTunedEmbedder(model, on_overflow="truncate", device="cpu", precision="fp32")
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
    full = np.array(FineTunedEmbedder(tiny, device="cpu", precision="fp32").embed_query("who"))
    short = np.array(FineTunedEmbedder(tiny, device="cpu", precision="fp32", truncate_dim=16).embed_query("who"))
    np.testing.assert_allclose(short, full[:16] / np.linalg.norm(full[:16]), atol=1e-5)


def test_building_is_cheap_and_the_model_is_shared(tiny):
    first, second = (
        FineTunedEmbedder(tiny, device="cpu", precision="fp32"),
        FineTunedEmbedder(tiny, device="cpu", precision="fp32"),
    )
    assert first.model is second.model


def test_fingerprint_changes_with_whatever_changes_a_vector(tiny, tmp_path):
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
    assert FineTunedEmbedder(tiny, device="cpu", precision="fp32").test_connection() is True
    with pytest.warns(UserWarning, match="No model folder"):
        assert FineTunedEmbedder(tmp_path / "none").test_connection() is False


def test_broken_weights_are_named(tiny, tmp_path):
    import torch
    from safetensors.torch import load_file, save_file

    copy = shutil.copytree(tiny, tmp_path / "nan")
    weights = {
        name: torch.full_like(tensor, float("nan")) for name, tensor in load_file(copy / "model.safetensors").items()
    }
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="not finite"):
        FineTunedEmbedder(copy, device="cpu", engine="torch", precision="fp32").embed_query("who")


@pytest.mark.parametrize("precision", ["bf16", "auto"])
@pytest.mark.parametrize("engine", ["torch", "openvino", "auto"])
def test_every_engine_and_precision_agrees_with_fp32(model, engine, precision):
    exact = FineTunedEmbedder(model, device="cpu", engine="torch", precision="fp32").encode(TEXTS, role="document")
    other = FineTunedEmbedder(model, device="cpu", engine=engine, precision=precision).encode(TEXTS, role="document")
    assert ((exact * other).sum(axis=1) >= 0.999).all()


def test_openvino_truncates_where_torch_does(model):
    with pytest.warns(UserWarning, match="cut to 64 tokens"):
        torch, openvino = (
            FineTunedEmbedder(model, device="cpu", engine=engine, precision="fp32", on_overflow="truncate").encode(
                [LONG], role="document"
            )
            for engine in ("torch", "openvino")
        )
    np.testing.assert_allclose(torch, openvino, atol=1e-5)


def test_the_first_vector_of_a_converted_model_needs_neither_torch_nor_sentence_transformers(tiny):
    expected = FineTunedEmbedder(tiny, device="cpu", engine="openvino", precision="fp32").embed_query("who")
    code = (
        "import json, sys; from dragon_finetune import FineTunedEmbedder as E;"
        f"vector = E({str(tiny)!r}, device='cpu', engine='openvino', precision='fp32').embed_query('who');"
        "print(json.dumps([vector, sorted({'torch', 'sentence_transformers', 'transformers'} & set(sys.modules))]))"
    )
    vector, imported = json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
    assert imported == []
    np.testing.assert_allclose(vector, expected, atol=1e-6)


def test_a_choice_is_remembered_and_a_broken_one_made_again(tiny, tmp_path, monkeypatch):
    model = shutil.copytree(tiny, tmp_path / "model")
    monkeypatch.setenv("DRAGON_FINETUNE_CACHE", str(tmp_path / "cache"))
    name = FineTunedEmbedder(model, device="cpu").engine.name
    (notes,) = (tmp_path / "cache").glob("*/choices.json")
    assert name in json.loads(notes.read_text(encoding="utf-8")).values()
    (converted,) = (tmp_path / "cache").glob("*/openvino/model.bin")
    converted.write_bytes(b"cut short")
    shutil.rmtree(converted.parent / "compiled", ignore_errors=True)
    with pytest.warns(UserWarning, match="is damaged and made anew"):
        again = FineTunedEmbedder(model, device="cpu")
        vectors = again.encode(TEXTS, role="document")
    exact = FineTunedEmbedder(tiny, device="cpu", precision="fp32").encode(TEXTS, role="document")
    assert ((vectors * exact).sum(axis=1) >= 0.999).all()


def test_processes_of_few_threads_do_not_share_their_cores(tiny, monkeypatch):
    monkeypatch.setattr("dragon_finetune.embedding.hardware._threads", 1)
    compiled = FineTunedEmbedder(tiny, engine="openvino").engine._compiled
    assert compiled.get_property("INFERENCE_NUM_THREADS") == 1
    assert not compiled.get_property("ENABLE_CPU_PINNING")


@pytest.mark.parametrize("precision", ["fp32", "auto"])
def test_threads_share_one_embedder(tiny, precision):
    embedder = FineTunedEmbedder(tiny, device="cpu", precision=precision)
    expected = {text: embedder.embed_query(text) for text in TEXTS}
    bulk = threading.Thread(target=lambda: embedder.embed_documents(TEXTS * 200))
    bulk.start()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(embedder.embed_query, TEXTS * 50))
    bulk.join()
    for text, answer in zip(TEXTS * 50, answers, strict=True):
        np.testing.assert_allclose(answer, expected[text], atol=1e-5 if precision == "fp32" else 2e-2)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"precision": "bf61"}, "Did you mean 'bf16'"),
        ({"engine": "openvion"}, "Did you mean 'openvino'"),
        ({"engine": "openvino", "precision": "fp16"}, "fp32 or bf16"),
        ({"engine": "openvino", "device": "cuda"}, "on cuda"),
    ],
)
def test_engines_that_cannot_be_are_refused(tiny, options, words):
    with pytest.raises(SettingsError, match=words):
        FineTunedEmbedder(tiny, **options).embed_query("who")


def test_budget_and_rows_do_not_change_vectors(tiny):
    exact = FineTunedEmbedder(tiny, device="cpu", precision="fp32").encode(TEXTS * 5, role="document")
    for budget, rows in ((1, None), (40, None), (10_000, 3)):
        embedder = FineTunedEmbedder(tiny, device="cpu", precision="fp32", budget=budget)
        np.testing.assert_allclose(embedder.encode(TEXTS * 5, role="document", batch_size=rows), exact, atol=1e-5)
