"""A run that is told to stop: by which signals, at which moment, in how many processes; and what it says."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from conftest import make_pairs
from runs_of_training import PAIRS, config
from test_killed import TRAIN
from transformers import TrainerCallback

from dragon_finetune import FineTuner
from dragon_finetune.errors import StoppedError
from dragon_finetune.training.stopping import StopCallback, stoppable


def saved_steps(out):
    states = out.with_name(out.name + ".work").glob("checkpoints/checkpoint-*/trainer_state.json")
    return sorted(json.loads(state.read_text(encoding="utf-8"))["global_step"] for state in states)


class Raise(TrainerCallback):
    """Sends this process a signal at a step, as somebody else would."""

    def __init__(self, number, at):
        self._number, self._at = number, at

    def on_step_begin(self, args, state, control, **kwargs):
        if state.global_step == self._at - 1:
            os.kill(os.getpid(), self._number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("step", [1, 4, 9])
def test_it_stops_after_the_step_which_is_saved(tiny, tmp_path, capfd, number, step):
    """The last step too: what follows it may take as long as all of them."""
    settings = {"max_steps": 9, "save_steps": 1000, "patience": None}
    tuner = FineTuner(config(tiny, tmp_path / "out", **settings), callbacks=[Raise(number, step)])
    with pytest.raises(StoppedError, match=rf"stopped at step {step}, which is saved"):
        tuner.train(PAIRS)
    assert saved_steps(tmp_path / "out") == [step]
    assert "stopping after this step" in capfd.readouterr().err
    assert FineTuner(config(tiny, tmp_path / "out", **settings)).train(PAIRS).steps == 9


def test_a_second_ctrl_c_ends_it_at_once_and_another_signal_does_not():
    callback = StopCallback()
    with pytest.raises(KeyboardInterrupt), stoppable(callback):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGTERM, signal.SIGINT):
            os.kill(os.getpid(), number)
            time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_what_is_ignored_stays_ignored(number):
    """`nohup`, and what a shell starts in the background."""
    before = signal.signal(number, signal.SIG_IGN)
    try:
        with stoppable(StopCallback()):
            os.kill(os.getpid(), number)
            time.sleep(0.01)
        assert signal.getsignal(number) == signal.SIG_IGN
    finally:
        signal.signal(number, before)


def test_handlers_are_as_before():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    with stoppable(StopCallback()):
        pass
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before


@pytest.mark.slow
def test_of_two_processes_one_signal_stops_both_at_one_step(tiny, tmp_path, write_jsonl):
    file = write_jsonl("pairs.jsonl", make_pairs(80))
    entry = tmp_path / "entry.py"
    entry.write_text(TRAIN.replace("; ", "\n"), encoding="utf-8")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", entry]
    arguments = ["train", file, "--base-model", tiny, "--output", tmp_path / "out", "--epochs", "300", "--json"]
    settings = tmp_path / "settings.yaml"
    settings.write_text("device: cpu\nprecision: fp32\npatience: null\nsave_steps: 100000\n", encoding="utf-8")
    command = [*map(str, [*launch, *arguments, "--config", settings, "--batch-size", "4"])]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment)
    end = time.monotonic() + 120
    while not (tmp_path / "out.work" / "curve.json").exists() and time.monotonic() < end:
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert len(saved_steps(tmp_path / "out")) == 1, said
    assert "run the same command again to go on" in said
