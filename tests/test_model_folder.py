"""A model folder that is missing something is refused before any work, by the file's name."""

import shutil

import pytest

from dragon_finetune import FineTunedEmbedder
from dragon_finetune.errors import ModelError
from dragon_finetune.model_folder import ModelFolder
from dragon_finetune.model_place import CARD, draft_of


@pytest.fixture
def copy(tiny, tmp_path):
    return shutil.copytree(tiny, tmp_path / "copy")


def refuse(path, words):
    with pytest.raises(ModelError, match=words):
        ModelFolder.open(path)
    with pytest.raises(ModelError, match=words):
        FineTunedEmbedder(path).embed_query("who")


def test_missing_folder(tmp_path):
    refuse(tmp_path / "nowhere", "No model folder at")


def test_a_file_is_no_model(tmp_path):
    (tmp_path / "model.bin").touch()
    refuse(tmp_path / "model.bin", "is a file")


def test_unknown_hub_name_is_refused_offline():
    refuse("nobody/no-such-model", "no model 'nobody/no-such-model' from the hub")


def test_empty_folder(tmp_path):
    refuse(tmp_path, "modules.json is missing")


def test_no_tokenizer(copy):
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (copy / name).unlink()
    refuse(copy, "has no tokenizer")


def test_no_weights(copy):
    (copy / "model.safetensors").unlink()
    refuse(copy, "no weights")


@pytest.mark.parametrize("keep", [0, 5, 40, -1])
def test_weights_cut_short(copy, keep):
    whole = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(whole[:keep])
    refuse(copy, "cut short")


def test_no_pooling(copy):
    (copy / "1_Pooling" / "config.json").unlink()
    refuse(copy, "1_Pooling/config.json is missing")


def test_broken_json(copy):
    (copy / "config_sentence_transformers.json").write_text("{", encoding="utf-8")
    refuse(copy, "not valid JSON")


def test_interrupted_swap_is_finished_by_the_reader(copy, tmp_path):
    target = tmp_path / "tuned"
    copy.rename(draft_of(target))
    (draft_of(target) / CARD).write_text("{}", encoding="utf-8")
    assert ModelFolder.open(target).path == target
    assert not draft_of(target).exists()


def test_incomplete_draft_is_no_model(copy, tmp_path):
    copy.rename(draft_of(tmp_path / "tuned"))
    refuse(tmp_path / "tuned", "No model folder")
