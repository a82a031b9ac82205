"""A model folder of ours is in the form that every reader knows: the same model, the same fingerprint, no warning."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from conftest import fetch

from dragon_finetune import FineTunedEmbedder
from dragon_finetune.embedding.fingerprint import fingerprint, is_mark_of
from dragon_finetune.embedding.model_files import content_hash
from dragon_finetune.embedding.model_forms import write_older_form
from dragon_finetune.model_folder import ModelFolder

TEXTS = ["Who keeps the Salt Ledger?", "Ilse Tarrowin walked the bared floor of the Thaul.", "tide lamp bell"]
FLAGS = {
    "cls": "pooling_mode_cls_token",
    "max": "pooling_mode_max_tokens",
    "mean": "pooling_mode_mean_tokens",
    "lasttoken": "pooling_mode_lasttoken",
}
MODELS = "sentence_transformers.models."


def read(file):
    return json.loads(file.read_text(encoding="utf-8"))


def older(path, target):
    write_older_form(shutil.copytree(path, target))
    return target


def vectors(path):
    return FineTunedEmbedder(path, device="cpu", precision="fp32", engine="torch").encode(TEXTS, role="document")


def pooled_model(path, mode, **more):
    from model_families import save_plain, words_tokenizer
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Dense, Pooling, Transformer

    plain = save_plain(path.with_name(path.name + "-plain"), "bert", words_tokenizer())
    pooling = Pooling(16, mode, **more)
    wide = pooling.get_embedding_dimension()
    SentenceTransformer(modules=[Transformer(str(plain)), pooling, Dense(wide, 8)], device="cpu").save_pretrained(
        str(path), create_model_card=False
    )
    return path


@pytest.mark.parametrize("family", ["wordpiece", "byte_bpe", "unigram"])
def test_it_is_the_same_model_with_the_same_fingerprint(tiny_models, tmp_path, family):
    made = older(tiny_models[family], tmp_path / "model")
    assert (read(made / "modules.json"), read(made / "1_Pooling/config.json")) != (
        read(tiny_models[family] / "modules.json"),
        read(tiny_models[family] / "1_Pooling/config.json"),
    )
    before, after = ModelFolder.open(tiny_models[family]), ModelFolder.open(made)
    assert (after.limit, after.prompts) == (before.limit, before.prompts)
    assert fingerprint(after) == fingerprint(before)
    assert np.array_equal(vectors(made), vectors(tiny_models[family]))


@pytest.mark.parametrize("mode", ["cls", "max", "lasttoken", ("cls", "mean"), ("mean", "cls")])
def test_every_way_to_pool_is_told_in_both_forms(tmp_path, mode):
    path = pooled_model(tmp_path / "new", mode, include_prompt=False)
    made = older(path, tmp_path / "older")
    assert fingerprint(ModelFolder.open(made)) == fingerprint(ModelFolder.open(path))
    assert np.array_equal(vectors(made), vectors(path))
    if mode != ("mean", "cls"):  # an order that the older form can't say
        said = read(made / "1_Pooling/config.json")
        flags = {name for name, value in said.items() if name.startswith("pooling_mode_") and value}
        assert flags == {FLAGS[each] for each in np.atleast_1d(mode)}
        assert said["include_prompt"] is False
        assert said["word_embedding_dimension"] == 16


def test_a_mode_of_pooling_still_counts_in_the_older_form(tiny, tmp_path):
    made = older(tiny, tmp_path / "model")
    before = fingerprint(ModelFolder.open(made))
    config = made / "1_Pooling/config.json"
    said = {name: value for name, value in read(config).items() if name != "pooling_mode"}
    config.write_text(json.dumps({**said, "pooling_mode_mean_tokens": False, "pooling_mode_cls_token": True}), "utf-8")
    assert fingerprint(ModelFolder.open(made)) != before


def test_a_fingerprint_made_before_the_forms_were_one_is_recognised(tiny):
    import hashlib

    from dragon_finetune.embedding.model_files import model_files

    folder = ModelFolder.open(tiny)
    inputs = {"prompts": vars(folder.prompts), "limit": folder.limit, "truncate_dim": None}
    digest = hashlib.blake2b(json.dumps(inputs, sort_keys=True).encode(), digest_size=16)
    for file in model_files(folder.path):
        digest.update(file.relative_to(folder.path).as_posix().encode())
        digest.update(content_hash(file, as_written=True))
    assert digest.hexdigest() != fingerprint(folder)
    assert is_mark_of(digest.hexdigest(), folder)


def ollama_reads(path):
    """Return what Ollama's importer (convert_bert.go) reads: its way to pool (0: none), whether it normalises."""
    types = {each["type"]: each["path"] for each in read(path / "modules.json")}
    said = read(path / types[MODELS + "Pooling"] / "config.json") if MODELS + "Pooling" in types else {}
    pooling = 1 if said.get("pooling_mode_mean_tokens") else 2 if said.get("pooling_mode_cls_token") else 0
    return pooling, MODELS + "Normalize" in types


def test_what_training_saves_is_read_by_ollama_and_by_engines_that_read_flags(trained, tiny):
    assert ollama_reads(trained.path) == (1, True)
    assert ollama_reads(tiny) == (0, False)  # what sentence-transformers 6 writes is not
    settings = read(trained.path / "sentence_bert_config.json")
    assert settings == {"max_seq_length": 56, "do_lower_case": False}


def test_so_is_a_folder_with_words_made_of_one_that_is_not(tiny, tmp_path):
    from dragon_finetune.embedding.lexical_folder import Words, make_lexical_folder

    texts = [f"Zorbax{n} lit the lamp of the Oriel. House {n} has an oar of ash." for n in range(30)]
    made = make_lexical_folder(tiny, tmp_path / "words", Words(texts, 128))
    assert ollama_reads(made.path) == (1, True)
    dense = fingerprint(ModelFolder.open(made.path), dense_only=True)
    assert dense == fingerprint(ModelFolder.open(tiny))


OLD = ("3.4.1", *(pytest.param(each, marks=pytest.mark.thorough) for each in ("4.1.0", "5.0.0", "5.4.0")))
ENCODE = """
import json, sys, warnings
import sentence_transformers, transformers
from sentence_transformers import SentenceTransformer
texts = json.loads(sys.argv[1])
for path in sys.argv[2:]:
    model = SentenceTransformer(path, device="cpu", local_files_only=True)
    vectors = model.encode(texts, prompt_name="document", normalize_embeddings=True, show_progress_bar=False)
    print(json.dumps({"versions": [sentence_transformers.__version__, transformers.__version__],
                      "limit": model.max_seq_length, "vectors": vectors.tolist()}))
"""


@pytest.fixture(scope="module")
def transformers_4(tmp_path_factory):
    """Return a folder with the libraries that sentence-transformers before 5.4 needs in another version than ours."""
    target = tmp_path_factory.mktemp("transformers4")
    fetch(target, "transformers<5", "tokenizers>=0.22,<=0.23", "huggingface-hub<1", "datasets<4.2")
    return target


@pytest.mark.slow
@pytest.mark.parametrize("version", OLD)
def test_old_sentence_transformers_make_the_same_vectors(version, transformers_4, trained, tiny_models, tmp_path):
    fetch(tmp_path / "old", f"sentence-transformers=={version}")
    paths = [trained.path, older(tiny_models["wordpiece"], tmp_path / "wordpiece")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path / "old"), str(transformers_4)])}
    command = [sys.executable, "-W", "ignore", "-c", ENCODE, json.dumps(TEXTS), *map(str, paths)]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    for path, line in zip(paths, done.stdout.splitlines(), strict=True):
        told = json.loads(line)
        assert told["versions"][0] == version
        assert told["versions"][1].startswith("4.")
        assert told["limit"] == ModelFolder.open(path).limit
        assert (np.array(told["vectors"]) * vectors(path)).sum(axis=1).min() > 0.99999
