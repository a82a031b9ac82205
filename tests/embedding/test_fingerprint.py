"""What a fingerprint depends on: each ingredient changes it, and nothing else that lies in a model folder does."""

import json
import os
import shutil
from pathlib import Path

import pytest

from dragon_finetune.embedding.fingerprint import fingerprint, is_mark_of
from dragon_finetune.model_folder import ModelFolder

MADE_BEFORE = Path(__file__).parents[1] / "index" / "made_before" / "model"


@pytest.fixture
def folder(tiny, tmp_path):
    return shutil.copytree(tiny, tmp_path / "model")


def mark(folder, **options):
    return fingerprint(ModelFolder.open(folder), **options)


def changed(file, **values):
    content = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps({**content, **values}, indent=7), encoding="utf-8")


def flip_a_byte(file):
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(bytes(content))


CHANGES = {
    "weights": lambda folder: flip_a_byte(folder / "model.safetensors"),
    "architecture": lambda folder: changed(folder / "config.json", layer_norm_eps=1e-3),
    "tokenizer": lambda folder: changed(folder / "tokenizer.json", normalizer={"type": "Lowercase"}),
    "pooling": lambda folder: changed(folder / "1_Pooling" / "config.json", pooling_mode="cls"),
    "limit": lambda folder: changed(folder / "sentence_bert_config.json", max_seq_length=40),
    "prompts": lambda folder: changed(folder / "config_sentence_transformers.json", prompts={"query": "ask: "}),
    "remote code": lambda folder: (folder / "modeling_x.py").write_text("x = 1", encoding="utf-8"),
}
BESIDE_THE_POINT = {
    "licence": lambda folder: (folder / "LICENSE").write_text("MIT", encoding="utf-8"),
    "card": lambda folder: (folder / "README.md").write_text("# a model", encoding="utf-8"),
    "Windows' desktop.ini": lambda folder: (folder / "desktop.ini").write_text("[x]", encoding="utf-8"),
    "Windows' Thumbs.db": lambda folder: (folder / "Thumbs.db").write_bytes(b"\0" * 9),
    "another engine's form": lambda folder: shutil.copytree(folder / "1_Pooling", folder / "onnx"),
    "training state": lambda folder: (folder / "trainer_state.json").write_text("{}", encoding="utf-8"),
    "line ends": lambda folder: [
        file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n")) for file in folder.rglob("*.json")
    ],
    "the order of keys": lambda folder: (folder / "config.json").write_text(
        json.dumps(dict(reversed(json.loads((folder / "config.json").read_text("utf-8")).items()))), encoding="utf-8"
    ),
    "who saved it": lambda folder: changed(folder / "config.json", transformers_version="9.9", _name_or_path="/x"),
    "times": lambda folder: os.utime(folder / "model.safetensors", (1, 1)),
    "a hidden folder": lambda folder: shutil.copytree(folder / "1_Pooling", folder / ".git"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_a_vector_depends_on_changes_it(folder, change):
    before = mark(folder)
    CHANGES[change](folder)
    assert mark(folder) != before


@pytest.mark.parametrize("change", BESIDE_THE_POINT)
def test_nothing_else_does(folder, change):
    before = mark(folder)
    BESIDE_THE_POINT[change](folder)
    assert mark(folder) == before


def test_the_dimension_is_part_of_it(folder):
    assert len({mark(folder), mark(folder, truncate_dim=8), mark(folder, truncate_dim=16)}) == 3


def test_a_folder_filled_again_within_one_process_is_seen_anew(folder):
    before = mark(folder)
    weights = folder / "model.safetensors"
    stamp = weights.stat()
    flip_a_byte(weights)
    os.utime(weights, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert weights.stat().st_size == stamp.st_size
    assert mark(folder) != before


def test_what_was_marked_before_is_known_by_its_old_mark_too(tmp_path):
    model = shutil.copytree(MADE_BEFORE, tmp_path / "model")
    (old,) = [path.name for path in (MADE_BEFORE.parent / "shards").iterdir()]
    folder = ModelFolder.open(model)
    assert is_mark_of(mark(model), folder)
    assert is_mark_of(old, folder)
    flip_a_byte(model / "model.safetensors")
    assert not is_mark_of(old, folder)
