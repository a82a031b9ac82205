"""Precision int8: made from a converted model, used only as it was judged, and never mixed up with fp32."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import CORPUS

from dragon_finetune import FineTunedEmbedder
from dragon_finetune.embedding.int8 import Int8, Pairing, int8_of
from dragon_finetune.embedding.quantising import quantise
from dragon_finetune.errors import DataError, ModelError, SettingsError

TEXTS = [text[:48] for text in CORPUS]
GOOD, BAD = (0.001, -0.004, 0.006, 0.97, 225), (-0.01, -0.02, 0.001, 0.90, 225)


def pairing(documents: str, queries: str, figures: tuple) -> Pairing:
    return Pairing(documents, queries, *figures)


@pytest.fixture(scope="module")
def made(tiny, tmp_path_factory) -> Int8:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DRAGON_FINETUNE_CACHE", str(tmp_path_factory.mktemp("int8")))
        form = quantise(tiny, TEXTS)
        form.put_in_use()
        yield form


@pytest.fixture
def judged(made):
    """Return a function that notes what was measured of the form."""
    known = replace(made, cosines=(0.998, 0.994))
    yield lambda *pairings, speed=1.5: replace(known, speed=speed, pairings=pairings).put_in_use()
    made.put_in_use()


def embedder(model: Path, precision: str = "int8", **options) -> FineTunedEmbedder:
    return FineTunedEmbedder(model, precision=precision, device="cpu", **options)


def test_without_a_form_the_command_is_named(tiny_models):
    with pytest.raises(ModelError, match="dragon-finetune quantize CHUNKS"):
        embedder(tiny_models["unigram"]).embed_query("who")


@pytest.mark.parametrize("options", [{"engine": "torch"}, {"device": "cuda:1"}])
def test_other_engines_have_none(tiny, options):
    with pytest.raises(SettingsError, match="int8 is OpenVINO's"):
        FineTunedEmbedder(tiny, precision="int8", **options)


def test_no_texts_no_calibration(tiny):
    with pytest.raises(DataError, match="no texts to calibrate on"):
        quantise(tiny, [])


def test_it_is_made_once_per_calibration(tiny, made):
    file = made.path / "model.xml"
    before = file.stat().st_mtime_ns
    assert quantise(tiny, [*TEXTS, TEXTS[0]]) == made
    assert file.stat().st_mtime_ns == before
    other = quantise(tiny, TEXTS[:2])
    assert other.path != made.path
    assert int8_of(embedder(tiny).folder) == made
    assert quantise(tiny, TEXTS) == made
    assert file.stat().st_mtime_ns == before


def test_stdout_is_left_alone(tiny, tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("DRAGON_FINETUNE_CACHE", str(tmp_path))
    quantise(tiny, TEXTS)
    out, err = capfd.readouterr()
    assert out == ""
    assert "Smooth" not in err


def test_its_products_are_of_8_bits(made):
    assert 'type="FakeQuantize"' in (made.path / "model.xml").read_text(encoding="utf-8")


def test_unmeasured_is_used_and_said(tiny, made):
    quick, exact = embedder(tiny), embedder(tiny, "fp32")
    with pytest.warns(UserWarning, match="unmeasured"):
        vectors = quick.encode(TEXTS, role="document")
    cosines = (vectors * exact.encode(TEXTS, role="document")).sum(axis=1)
    assert quick.engine.name == "openvino-int8"
    assert 0.9 < cosines.min() < 0.999999
    assert quick.document_fingerprint != exact.document_fingerprint
    assert not quick.recognises(exact.document_fingerprint)
    assert not exact.recognises(quick.document_fingerprint)


def test_accepted_is_used_without_a_word(tiny, judged):
    judged(pairing("int8", "int8", GOOD))
    assert embedder(tiny).embed_query("who")
    assert embedder(tiny).engine.name == "openvino-int8"


def test_refused_steps_back_to_fp32_and_says_the_figures(tiny, judged):
    judged(pairing("int8", "int8", BAD), pairing("int8", "fp32", BAD))
    back, exact = embedder(tiny), embedder(tiny, "fp32")
    with pytest.warns(UserWarning, match=r"(?s)stepping back from int8 to fp32.*-0.0100 \[-0.0200, \+0.0010\]"):
        assert back.embed_query("who") == exact.embed_query("who")
    assert back.fingerprint == exact.fingerprint


def test_queries_stay_in_fp32_where_only_that_was_accepted(tiny, judged):
    judged(pairing("int8", "int8", BAD), pairing("int8", "fp32", GOOD))
    mixed, exact = embedder(tiny), embedder(tiny, "fp32")
    assert mixed.embed_query("who") == exact.embed_query("who")
    assert not np.allclose(mixed.embed_documents(TEXTS), exact.embed_documents(TEXTS), atol=1e-6)


def test_auto_takes_it_only_where_it_may_and_it_was_accepted(tiny, judged):
    assert "int8" not in embedder(tiny, "auto", allow_int8=True).engine.name
    judged(pairing("int8", "int8", GOOD))
    assert "int8" not in embedder(tiny, "auto").engine.name
    assert embedder(tiny, "auto", allow_int8=True).engine.name == "openvino-int8"
    assert "int8" not in embedder(tiny, "auto", allow_int8=True, engine="torch").engine.name
    judged(pairing("int8", "int8", GOOD), speed=0.9)
    assert "int8" not in embedder(tiny, "auto", allow_int8=True).engine.name


def test_a_part_of_a_vector_was_not_measured(tiny, judged):
    judged(pairing("int8", "int8", GOOD))
    with pytest.warns(UserWarning, match="unmeasured"):
        assert len(embedder(tiny, truncate_dim=16).embed_query("who")) == 16


@pytest.mark.parametrize("damage", ["", "[]", '{"calibration": 3}'])
def test_a_damaged_record_counts_as_none(tiny, made, damage):
    (made.path / "int8.json").write_text(damage, encoding="utf-8")
    with pytest.raises(ModelError, match="has no int8 form"):
        assert embedder(tiny).fingerprint
    made.put_in_use()
