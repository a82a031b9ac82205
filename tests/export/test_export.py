"""An export is proved by an engine that nobody here wrote, or nothing is left of it."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from conftest import PROMPTS, fetch, run_here
from models import build

from dragon_finetune import FineTunedEmbedder
from dragon_finetune.embedding.lexical_folder import Words, make_lexical_folder
from dragon_finetune.errors import DataError, ModelError, SettingsError
from dragon_finetune.export.exporting import export
from dragon_finetune.export.formats import FORMATS
from dragon_finetune.export.llama_engine import embed_by_llama
from dragon_finetune.export.source import Source
from dragon_finetune.files import read_json
from dragon_finetune.model_folder import ModelFolder

pytest.importorskip("xllamacpp")
pytest.importorskip("gguf")

FORMATS_BEFORE = dict(FORMATS)


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return build(tmp_path_factory.mktemp("bert") / "bert")


@pytest.fixture(scope="module")
def nomic(tmp_path_factory):
    prompts = {"query": "search_query: ", "document": "search_document: "}
    return build(tmp_path_factory.mktemp("nomic") / "nomic", "NomicBert", **prompts)


def left_at(path):
    return sorted(each.name for each in path.parent.iterdir() if not each.name.endswith(".lock"))


def of_our_own(path, texts):
    return FineTunedEmbedder(path, dense_only=True, device="cpu", precision="fp32", engine="torch").encode(
        texts, role="document"
    )


@pytest.mark.parametrize(
    ("to", "dtype"), [("gguf", "f32"), ("gguf", "f16"), ("gguf", "q8_0"), ("onnx", "f32"), ("openvino", "f32")]
)
@pytest.mark.parametrize("family", ["bert", "nomic"])
def test_each_format_is_proved_by_its_engine(family, to, dtype, request, tmp_path):
    model = request.getfixturevalue(family)
    made = export(model, to, tmp_path / "out", dtype=dtype)
    assert made.path == tmp_path / "out"
    assert (made.proof.texts, made.proof.holds) == (64, True)
    assert made.proof.least > (0.995 if dtype == "q8_0" else 0.9999)
    assert left_at(made.path) == ["out"]
    assert sorted(["dragon_finetune.json", *made.files]) == sorted(
        file.relative_to(made.path).as_posix() for file in made.path.rglob("*") if file.is_file()
    )
    assert read_json(made.path / "dragon_finetune.json")["export"]["proof"]["holds"] is True


@pytest.mark.slow
@pytest.mark.parametrize(
    ("to", "dtype", "least"),
    [
        pytest.param("gguf", "f32", 0.99999, marks=pytest.mark.thorough),
        pytest.param("gguf", "f16", 0.9999, marks=pytest.mark.thorough),
        ("gguf", "q8_0", 0.997),
        ("onnx", "f32", 0.99999),
        ("openvino", "f32", 0.99999),
    ],
)
def test_the_real_model(to, dtype, least, tmp_path):
    made = export("embedded", to, tmp_path / "out", dtype=dtype)
    assert made.proof.least > least, made


@pytest.mark.parametrize("to", ["gguf", "onnx"])
def test_first_token_pooling(tmp_path, to):
    model = build(tmp_path / "bge", pooling="cls", query="Represent this sentence: ")
    made = export(model, to, tmp_path / "out")
    assert made.proof.least > 0.999
    assert "put 'Represent this sentence: ' before every query yourself" in made.notes


def damaged_in_between(to, monkeypatch):
    """Have an export say that it is pooled by the first token, or lose a layer's weights, before it is proved."""

    def write(source, folder, dtype):
        if to == "gguf":
            return FORMATS_BEFORE["gguf"].write(replace(source, pooling="cls"), folder, dtype)
        notes = FORMATS_BEFORE[to].write(source, folder, dtype)
        if to == "onnx":
            config = folder / "1_Pooling" / "config.json"
            config.write_text(config.read_text(encoding="utf-8").replace("true", "false"), encoding="utf-8")
        else:
            weights = folder / "model.bin"
            weights.write_bytes(weights.read_bytes()[:-20_000] + bytes(20_000))
        return notes

    monkeypatch.setitem(FORMATS, to, replace(FORMATS[to], write=write))


@pytest.mark.parametrize("to", FORMATS)
def test_a_wrong_export_is_refused_and_leaves_nothing(bert, tmp_path, to, monkeypatch):
    damaged_in_between(to, monkeypatch)
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "mine.txt").write_text("mine", encoding="utf-8")
    made = export(bert, to, tmp_path / "out", dtype="f32")
    assert made.path is None
    assert made.proof.least < 0.999
    text, cosine = made.proof.worst[0]
    assert f"{cosine:.5f}  {text!r:.90}" in str(made)
    assert "nothing is left" in str(made)
    export(bert, to, tmp_path / "there", dtype="f32", overwrite=True)
    assert left_at(tmp_path / "out") == ["there"]
    assert (tmp_path / "there" / "mine.txt").read_text(encoding="utf-8") == "mine"


def test_a_text_that_the_other_engine_splits_otherwise_makes_the_command_say_no(bert, tmp_path, write_jsonl):
    # WordPiece takes a word of more than a hundred characters for unknown, llama.cpp takes it apart.
    odd = write_jsonl("odd.jsonl", [{"text": "tide" * 26}])
    line = ["export", "-m", bert, "--to", "gguf", "--output", tmp_path / "out", "--json", "--texts"]
    said = run_here(*line, odd)
    assert said.returncode == 1, said.stderr
    told = json.loads(said.stdout)
    assert told["path"] is None
    assert told["proof"]["worst"][0][0] == "tide" * 26
    assert left_at(tmp_path / "out") == ["odd.jsonl"]


def test_the_command_prints_one_document_or_words(bert, tmp_path, write_jsonl):
    texts = write_jsonl("chunks.jsonl", [{"text": f"Tarrowin walked {n} stairs of the Thaul."} for n in range(80)])
    line = ["export", "--model", bert, "--to", "gguf", "--texts", texts, "--output"]
    told = json.loads(run_here(*line, tmp_path / "a", "--json", "--dtype", "q8_0").stdout)
    assert (told["format"], told["dtype"], told["files"]) == ("gguf", "q8_0", ["Modelfile", "model-q8_0.gguf"])
    assert told["proof"]["origin"].startswith(f"55 of {texts}")
    said = run_here(*line, tmp_path / "b").stdout
    assert "gguf f16" in said
    assert "embedded by xllamacpp" in said
    again = run_here(*line, tmp_path / "b")
    assert (again.returncode, "is not empty" in again.stderr) == (2, True)
    assert run_here(*line, tmp_path / "b", "--overwrite").returncode == 0
    assert (tmp_path / "b.old-1" / "Modelfile").is_file()


def test_the_texts_are_the_users_within_the_limit_and_odd_ones(trained, bert, tmp_path, write_jsonl):
    from dragon_finetune.export.texts import proof_texts
    from dragon_finetune.tokens.counting import TokenCounter

    texts, origin = proof_texts(Source.open(trained.path))
    assert len(texts) == 64
    assert "of the model's training" in origin
    assert sum("House" in text or "who keeps" in text for text in texts) > 50
    counts = list(TokenCounter(ModelFolder.open(trained.path)).counts(texts))
    assert trained_limit(trained) - 8 < max(counts) <= trained_limit(trained)
    (cut, *odd), origin = proof_texts(Source.open(bert), write_jsonl("long.jsonl", [{"text": "tide " * 100}]))
    assert cut == " ".join(["tide"] * 62)
    assert len(odd) == 9
    with pytest.raises(DataError, match=r"no text has a word within the limit of 64"):
        proof_texts(Source.open(bert), write_jsonl("longer.jsonl", [{"text": "ab" * 45}]))


def trained_limit(trained):
    return ModelFolder.open(trained.path).limit


def test_capitals_that_count_are_kept_and_it_is_said_who_loses_them(tmp_path):
    cased = build(tmp_path / "cased", lowercase=False)
    texts = ["the TIDE", "the tide", "Zürich", "zurich", "café", "cafe"]
    ours = of_our_own(cased, texts)
    assert (ours[0] @ ours[1], ours[2] @ ours[3]) < (0.99, 0.99)
    made = export(cased, "gguf", tmp_path / "out")
    assert made.proof.holds
    assert (embed_by_llama(made.path, texts, 64) * ours).sum(axis=1).min() > 0.999
    assert any("capitals" in note for note in made.notes)


def test_ollama_finds_file_context_and_prompts(nomic, tmp_path):
    made = export(nomic, "gguf", tmp_path / "out")
    lines = (made.path / "Modelfile").read_text(encoding="utf-8").splitlines()
    assert "FROM ./model-f16.gguf" in lines
    assert "PARAMETER num_ctx 64" in lines
    assert any("'search_document: ' before every document" in line for line in lines)


def test_the_context_ends_at_our_limit(bert, tmp_path):
    import gguf

    made = export(bert, "gguf", tmp_path / "out", dtype="f32")
    file = gguf.GGUFReader(made.path / "model-f32.gguf")
    assert file.get_field("bert.context_length").contents() == 64
    assert file.get_field("bert.pooling_type").contents() == int(gguf.PoolingType.MEAN)
    refused, taken = embed_by_llama(made.path, ["tide " * 300, "tide"], 64)
    assert (refused.any(), taken.any()) == (False, True)
    (made.path / "model-f32.gguf").write_bytes(b"GGUF")
    with pytest.raises(ModelError, match=r"llama\.cpp can't load"):
        embed_by_llama(made.path, ["tide"], 64)


def test_the_words_of_a_folder_stay_behind_and_it_is_said(bert, tmp_path):
    words = Words([f"Zorbax{n} lit the lamp of the Oriel. House {n} has an oar of ash." for n in range(30)], 128)
    made = make_lexical_folder(bert, tmp_path / "words", words)
    exported = export(made.path, "gguf", tmp_path / "out")
    assert exported.proof.holds
    assert any("only the dense half" in note and "dragon-finetune serve" in note for note in exported.notes)
    texts = ["the tide"]
    assert embed_by_llama(exported.path, texts, 64).shape == (1, 64)
    assert exported.fingerprint == FineTunedEmbedder(bert).fingerprint


def test_without_its_engine_an_export_is_made_and_called_unproven(bert, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    said = run_here("export", "-m", bert, "--to", "gguf", "--output", tmp_path / "out")
    assert said.returncode == 0
    assert "UNPROVEN: xllamacpp" in said.stdout
    assert 'pip install "dragon-finetune[export]"' in said.stdout
    assert (tmp_path / "out" / "model-f16.gguf").is_file()


def test_what_a_format_has_no_place_for_is_refused_before_anything_is_written(tiny_models, bert, tmp_path):
    from sentence_transformers.sentence_transformer.modules import Dense

    dense = build(tmp_path / "dense", more=(Dense(64, 8),))
    widest = build(tmp_path / "widest", pooling="max")
    refusals = [
        ("gguf", tiny_models["byte_bpe"], "tokenizer is BPE"),
        ("gguf", tiny_models["unigram"], "tokenizer is Unigram"),
        ("gguf", dense, "Dense"),
        ("onnx", dense, "Dense"),
        ("gguf", widest, "pools by max"),
        ("onnx", widest, "pools by max"),
    ]
    before = left_at(tmp_path / "out")
    for to, model, why in refusals:
        with pytest.raises(ModelError, match=why):
            export(model, to, tmp_path / "out")
    with pytest.raises(SettingsError, match="Did you mean 'gguf'"):
        export(bert, "ggufs", tmp_path / "out")
    with pytest.raises(SettingsError, match="q8_0"):
        export(bert, "gguf", tmp_path / "out", dtype="q8")
    with pytest.raises(ModelError, match="lies inside it"):
        export(bert, "gguf", bert / "gguf")
    assert left_at(tmp_path / "out") == before
    assert export(dense, "openvino", tmp_path / "out").proof.least > 0.9999


@pytest.mark.parametrize("family", PROMPTS)
def test_onnx_keeps_every_tokenizer_and_its_limit(tiny_models, tmp_path, family):
    made = export(tiny_models[family], "onnx", tmp_path / "out")
    assert made.proof.least > 0.9999
    assert read_json(made.path / "tokenizer.json")["truncation"]["max_length"] == 64
    assert read_json(made.path / "tokenizer_config.json")["model_max_length"] == 64
    assert read_json(made.path / "1_Pooling" / "config.json")["pooling_mode_mean_tokens"] is True
    assert not list(made.path.rglob("*.safetensors"))


def test_a_router_is_refused(tmp_path):
    from model_families import family_modules
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Router

    sides = [family_modules(tmp_path / side, "bert", seed=seed) for seed, side in enumerate(("q", "d"))]
    router = Router.for_query_document(query_modules=sides[0], document_modules=sides[1])
    SentenceTransformer(modules=[router], device="cpu").save_pretrained(
        str(tmp_path / "router"), create_model_card=False
    )
    with pytest.raises(ModelError, match="Router"):
        export(tmp_path / "router", "gguf", tmp_path / "out")
    assert np.array(left_at(tmp_path / "out")).tolist() == left_at(tmp_path / "router")


FASTEMBED = """
import json, sys
from fastembed import TextEmbedding
from fastembed.common.model_description import ModelSource, PoolingType
TextEmbedding.add_custom_model(model="ours", pooling=PoolingType.MEAN, normalization=True,
                               sources=ModelSource(hf="ours/ours"), dim=64, model_file="model.onnx")
model = TextEmbedding("ours", specific_model_path=sys.argv[1], threads=1)
print(json.dumps([vector.tolist() for vector in model.embed(json.loads(sys.argv[2]))]))
"""


@pytest.mark.slow
def test_fastembed_reads_the_folder(bert, tmp_path):
    # Not installed beside us: it asks for huggingface-hub<2, which it does not need for a local folder.
    fetch(tmp_path / "site", "fastembed", "loguru<0.8", "mmh3<6", "py_rust_stemmers<0.2", "pillow<14")
    made = export(bert, "onnx", tmp_path / "out")
    texts = ["Who keeps the Salt Ledger?", "the TIDE, the lamp", "oar " * 300]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    command = [sys.executable, "-W", "ignore", "-c", FASTEMBED, str(made.path), json.dumps(texts)]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    ours = of_our_own(bert, [*texts[:2], "oar " * 62])  # it cuts at the limit
    assert (json.loads(done.stdout) * ours).sum(axis=1).min() > 0.9999
