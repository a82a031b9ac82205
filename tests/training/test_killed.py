"""Runs that are killed, and runs of two processes, end where an uninterrupted one ends."""

import json
import os
import random
import re
import subprocess
import sys
import time

import pytest
import yaml
from conftest import make_pairs, start_command
from runs_of_training import PAIRS, config

from dragon_finetune import FineTunedEmbedder, FineTuner, TrainingConfig
from dragon_finetune.errors import ModelError

KILLS = int(os.environ.get("KILLS", "1"))


def result_of(folder):
    return json.loads((folder / "dragon_finetune.json").read_text(encoding="utf-8"))["result"]


@pytest.mark.parametrize(
    "how", ["lora_rank: null", pytest.param("lora_rank: 4", marks=pytest.mark.thorough), "documents: frozen"]
)
@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_where_the_uninterrupted_one_ends(tmp_path, tiny, write_jsonl, cli, how):
    from safetensors.torch import load_file

    file = write_jsonl("pairs.jsonl", PAIRS)
    settings = tmp_path / "settings.yaml"
    settings.write_text(
        f"epochs: 6\nbatch_size: 4\nsave_steps: 5\npatience: null\nhalves: false\n{how}\n", encoding="utf-8"
    )
    arguments = ["train", file, "--base-model", tiny, "--config", settings]
    # The uninterrupted one trains in this process: a start costs more than the training.
    chosen = yaml.safe_load(settings.read_text(encoding="utf-8"))
    FineTuner(TrainingConfig(base_model=tiny, output_dir=tmp_path / "whole", **chosen)).train(file)
    whole = result_of(tmp_path / "whole")

    arguments += ["--output", tmp_path / "killed", "--json"]
    process = start_command(*arguments, cwd=tmp_path)
    checkpoints = tmp_path / "killed.work" / "checkpoints"
    deadline = time.monotonic() + 300
    # The first is whole when there is a second: a file that is there may still be without its bytes.
    while len(list(checkpoints.glob("checkpoint-*"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.communicate()
    assert not (tmp_path / "killed").exists()
    again = cli(*arguments)
    resumed = json.loads(again.stdout)
    assert 0 < int(re.search(r"going on from step (\d+)", again.stderr)[1]) < 48
    # The whole run's, not the last part's.
    assert resumed["steps"] == whole["steps"] == 48
    assert resumed["final_loss"] == pytest.approx(whole["final_loss"], rel=0.2)
    whole_files = sorted(file.relative_to(tmp_path / "whole") for file in (tmp_path / "whole").rglob("*.safetensors"))
    assert whole_files
    for file in whole_files:
        one, two = (load_file(tmp_path / name / file) for name in ("whole", "killed"))
        assert all(one[name].equal(two[name]) for name in one)
    assert resumed["curve"] == whole["curve"]


@pytest.mark.slow
def test_a_run_killed_at_any_moment_ends_the_same(tmp_path, tiny, write_jsonl, cli):
    file = write_jsonl("pairs.jsonl", PAIRS)
    arguments = ["train", file, "--base-model", tiny, "--epochs", 6, "--batch-size", 4, "--save-steps", 5]

    arguments += ["--json", "--output"]
    started = time.perf_counter()
    whole = json.loads(cli(*arguments, tmp_path / "whole").stdout)
    seconds = time.perf_counter() - started
    dice = random.Random(7)
    for attempt in range(KILLS):
        out = tmp_path / f"killed {attempt}"
        process = start_command(*arguments, out, cwd=tmp_path)
        time.sleep(dice.uniform(0.2, 1.0) * seconds)
        process.kill()
        process.communicate()
        resumed = json.loads(cli(*arguments, out).stdout)
        weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", out.name)]
        assert weights[0] == weights[1]
        assert resumed["curve"] == whole["curve"]
        assert resumed["validation"] == whole["validation"]


def test_an_unfinished_run_with_other_settings_is_not_mixed_up(tiny, tmp_path):
    work = tmp_path / "out.work"
    work.mkdir()
    (work / "run.json").write_text(json.dumps({"epochs": 9.0}), encoding="utf-8")
    with pytest.raises(ModelError, match=r"unfinished run that differs .*epochs: 9.0 before, 2.0 now"):
        FineTuner(config(tiny, tmp_path / "out")).train(PAIRS)


@pytest.mark.slow
def test_two_processes_train_one_model(tiny, tmp_path, write_jsonl, cli):
    file = write_jsonl("pairs.jsonl", make_pairs(80))
    entry = tmp_path / "entry.py"
    entry.write_text("from dragon_finetune.cli.main import main\nmain()\n", encoding="utf-8")
    settings = tmp_path / "settings.yaml"
    settings.write_text("device: cpu\nprecision: fp32\nlearning_rate: 0.001\nhalves: false\n", encoding="utf-8")
    arguments = ["train", file, "--base-model", tiny, "--config", settings, "--json", "--output"]

    # The same number of pairs per step either way, and the same negatives, gathered across the processes.
    alone = cli(*arguments, tmp_path / "one", "--batch-size", 16, "--epochs", 3)
    assert alone.returncode == 0, alone.stderr
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", entry]
    command = [sys.executable, *launch, *arguments, tmp_path / "two", "--batch-size", 8, "--epochs", 3]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    one, two = (result_of(tmp_path / name) for name in ("one", "two"))
    assert one["steps"] == two["steps"]
    assert two["validation"]["base"] == pytest.approx(one["validation"]["base"])
    assert two["final_loss"] == pytest.approx(one["final_loss"], rel=0.15)
    assert FineTunedEmbedder(tmp_path / "two", device="cpu", precision="fp32").embed_query("who")
