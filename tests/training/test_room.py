"""A disk that is too small is said before the first step; one that fills up costs no whole checkpoint."""

import os
import subprocess
import sys

import pytest
from runs_of_training import PAIRS, config

from dragon_finetune import FineTuner
from dragon_finetune.embedding.model import load_model
from dragon_finetune.errors import ModelError
from dragon_finetune.model_folder import ModelFolder
from dragon_finetune.training.room import bytes_needed

FULL = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from transformers import TrainerCallback
from dragon_finetune import FineTuner, TrainingConfig

class Fill(TrainerCallback):
    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == 4:
            resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[4]), resource.RLIM_INFINITY))

settings = dict(base_model=sys.argv[2], output_dir=sys.argv[3])
settings |= dict(batch_size=8, device="cpu", save_steps=2, epochs=3, patience=None, halves=False)
FineTuner(TrainingConfig(**settings), [Fill()]).train(sys.argv[1])
"""


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", folder], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("no right to mount a small disk here")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.skipif(sys.platform != "linux", reason="mounts")
def test_a_run_that_would_not_fit_is_refused_before_it_starts(tiny, small_disk):
    with pytest.raises(ModelError, match=r"small has 0\.00 GiB free, and this run needs .* lower save_total_limit"):
        FineTuner(config(tiny, small_disk / "out")).train(PAIRS)
    assert not [*small_disk.rglob("checkpoint-*")]


def test_the_room_said_is_the_room_taken(tiny, tmp_path):
    settings = config(tiny, tmp_path / "out", save_steps=1, save_total_limit=2, epochs=3)
    model = load_model(ModelFolder.open(tiny), device="cpu")
    weights = sum(parameter.numel() * 4 for parameter in model.parameters())
    assert bytes_needed(model, settings, 100) == (3 * 3 + 2) * weights
    assert bytes_needed(model, settings, 1) == (2 * 3 + 2) * weights
    assert bytes_needed(model, config(tiny, tmp_path / "out", save_steps=0.5), 100) == (3 * 3 + 2) * weights


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*checkpoint-4 is not whole")
@pytest.mark.skipif(sys.platform == "win32", reason="a limit on files that Windows has not")
@pytest.mark.parametrize("room", [100, pytest.param(30_000, marks=pytest.mark.thorough), 300_000])
def test_a_disk_that_fills_up_costs_no_whole_checkpoint(tiny, tmp_path, write_jsonl, room):
    rows = [{"query": pair["query"], "positive_text": pair["positive_text"]} for pair in PAIRS]
    pairs = write_jsonl("pairs.jsonl", rows)
    command = [sys.executable, "-c", FULL, pairs, tiny, tmp_path / "out", str(room)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONUTF8": "1"})
    assert "ModelError" in done.stderr, done.stderr[-2000:]
    assert "run the same command again" in done.stderr
    result = FineTuner(config(tiny, tmp_path / "out", save_steps=2, epochs=3, patience=None)).train(pairs)
    assert result.steps == 12
