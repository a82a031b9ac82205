"""The output folder: complete or absent, not made twice, refused or moved aside."""

import json
import shutil

import pytest
from conftest import make_pairs
from runs_of_training import PAIRS, config

from dragon_finetune import FineTunedEmbedder, FineTuner
from dragon_finetune.errors import ModelError
from dragon_finetune.model_folder import ModelFolder


def test_the_folder_is_complete_and_carries_prompts_and_limit(trained, tiny):
    folder, base = ModelFolder.open(trained.path), ModelFolder.open(tiny)
    assert folder.prompts == base.prompts
    assert folder.limit == 56
    assert FineTunedEmbedder(trained.path).fingerprint == trained.fingerprint
    card = json.loads((trained.path / "dragon_finetune.json").read_text(encoding="utf-8"))
    assert card["base_model"] == str(tiny)
    assert card["settings"]["epochs"] == 3
    assert not trained.path.with_name("finetuned.work").exists()


def test_weights_are_fp32(trained):
    from safetensors.torch import load_file

    assert {str(tensor.dtype) for tensor in load_file(trained.path / "model.safetensors").values()} == {"torch.float32"}


def test_a_finished_run_is_not_repeated(trained, tiny):
    before = (trained.path / "model.safetensors").stat().st_mtime_ns
    again = FineTuner(
        config(tiny, trained.path, epochs=3, learning_rate=1e-3, max_seq_length=56, logging_steps=5, patience=None)
    ).train(make_pairs(120))
    assert again == trained
    assert (trained.path / "model.safetensors").stat().st_mtime_ns == before


def test_an_occupied_folder_is_refused_or_moved_aside(trained, tiny, tmp_path):
    out = shutil.copytree(trained.path, tmp_path / "finetuned")
    with pytest.raises(ModelError, match="other settings or pairs"):
        FineTuner(config(tiny, out)).train(PAIRS)
    result = FineTuner(config(tiny, out, overwrite=True, max_steps=1)).train(PAIRS)
    assert result.steps == 1
    assert FineTunedEmbedder(tmp_path / "finetuned.old-1").fingerprint == trained.fingerprint


def test_a_folder_of_something_else_is_refused(tiny, tmp_path):
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(ModelError, match="something that is no trained model"):
        FineTuner(config(tiny, tmp_path)).train(PAIRS)
    assert (tmp_path / "notes.txt").read_text(encoding="utf-8") == "mine"


def test_new_prompts_are_saved(tiny_models, tmp_path):
    FineTuner(config(tiny_models["wordpiece"], tmp_path / "out", max_steps=1, query_prompt="ask: ")).train(PAIRS)
    assert ModelFolder.open(tmp_path / "out").prompts.query == "ask: "


def test_an_output_that_cannot_be_written_is_refused(tiny, tmp_path):
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    with pytest.raises(ModelError, match="can't be written"):
        FineTuner(config(tiny, tmp_path / "file" / "out")).train(PAIRS)
