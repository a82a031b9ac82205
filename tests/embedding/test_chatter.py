"""What the libraries below log stays off stderr; what of it is a fault is told in our own words."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from safetensors.torch import load_file, save_file

from dragon_finetune.embedding.model import load_model
from dragon_finetune.model_folder import ModelFolder

LAYER = "encoder.layer.1.output.LayerNorm.weight"
CHATTER = ("[transformers]", "LOAD REPORT", "Token indices", "loss_type", "Loading weights")


def changed(folder, to, change):
    """Return a copy of a model whose tensors were changed."""
    shutil.copytree(folder, to)
    tensors = load_file(to / "model.safetensors")
    change(tensors)
    save_file(tensors, to / "model.safetensors", metadata={"format": "pt"})
    return to


def test_weights_that_are_not_there_are_told_by_us(tiny, tmp_path):
    folder = changed(tiny, tmp_path / "model", lambda tensors: tensors.pop(LAYER))
    with pytest.warns(UserWarning, match=rf"holds no weights for {LAYER}.*random"):
        load_model(ModelFolder.open(folder), device="cpu")


@pytest.mark.parametrize("change", ["surplus", "no pooler"])
def test_what_changes_no_vector_is_not_told(tiny, tmp_path, change, cli, write_jsonl):
    def apply(tensors):
        if change == "surplus":
            tensors["nobodys"] = tensors[LAYER].clone()
        else:
            for name in [name for name in tensors if name.startswith("pooler.")]:
                del tensors[name]

    changed(tiny, tmp_path / "model", apply)
    write_jsonl("chunks.jsonl", [{"text": "who lit the lamp"}])
    done = cli("embed", "chunks.jsonl", "-m", "model", "--out", "v", "--engine", "torch")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
def test_a_host_of_ours_hears_transformers_as_before(tiny, tmp_path):
    """Under `run`, and in a program that uses the library, the log is as loud as it was, before and afterwards."""
    script = tmp_path / "script.py"
    script.write_text(
        "import transformers\n"
        "from dragon_finetune import FineTunedEmbedder\n"
        f"log = transformers.utils.logging.get_logger('transformers.host')\n"
        "log.warning('before')\n"
        f"FineTunedEmbedder({json.dumps(str(tiny))}, device='cpu', engine='torch').embed_query('x')\n"
        "log.warning('after')\n",
        encoding="utf-8",
    )
    # A command that ran in this process sets it, for this process's children too.
    environment = {name: value for name, value in os.environ.items() if name != "TRANSFORMERS_VERBOSITY"}
    options = {"cwd": tmp_path, "env": environment, "capture_output": True, "text": True, "check": False}
    for command in (["script.py"], ["-m", "dragon_finetune.cli", "run", "script.py"]):
        done = subprocess.run([sys.executable, *command], **options)
        assert done.returncode == 0, done.stderr
        assert "before" in done.stderr
        assert "after" in done.stderr
