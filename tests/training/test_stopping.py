"""A run that is told to stop: by which signals, at which moment, in how many processes; and what it says."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from conftest import make_pairs, run_code
from runs_of_training import PAIRS, config

from dragon_finetune import FineTuner
from dragon_finetune.training.stopping import StopCallback, stoppable


def saved_steps(out):
    states = out.with_name(out.name + ".work").glob("checkpoints/checkpoint-*/trainer_state.json")
    return sorted(json.loads(state.read_text(encoding="utf-8"))["global_step"] for state in states)


STOPPED = """
import os, sys
from transformers import TrainerCallback
from dragon_finetune import FineTuner, TrainingConfig

class Raise(TrainerCallback):
    def on_step_begin(self, args, state, control, **kwargs):
        if state.global_step == int(sys.argv[5]) - 1:
            os.kill(os.getpid(), int(sys.argv[4]))

settings = dict(base_model=sys.argv[2], output_dir=sys.argv[3], batch_size=8, device="cpu")
settings |= dict(max_steps=9, save_steps=1000, patience=None, halves=False)
FineTuner(TrainingConfig(**settings), [Raise()]).train(sys.argv[1])
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "step"), [(signal.SIGINT, 1), (signal.SIGTERM, 4), (signal.SIGHUP, 9), (signal.SIGINT, 9)]
)
def test_it_stops_after_the_step_which_is_saved(tiny, tmp_path, write_jsonl, number, step):
    """The last step too: what follows it may take as long. In a process of its own, for pytest has signals too."""
    pairs = write_jsonl("pairs.jsonl", PAIRS)
    done = run_code(STOPPED, pairs, tiny, tmp_path / "out", int(number), step, cwd=tmp_path)
    assert f"stopped at step {step}, which is saved" in done.stderr, done.stderr[-2000:]
    assert "stopping after this step" in done.stderr
    assert saved_steps(tmp_path / "out") == [step]
    settings = {"max_steps": 9, "save_steps": 1000, "patience": None}
    assert FineTuner(config(tiny, tmp_path / "out", **settings)).train(pairs).steps == 9


def test_a_second_ctrl_c_ends_it_at_once_and_another_signal_does_not():
    callback = StopCallback()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGTERM):
        callback.ask(number, None)
    with pytest.raises(KeyboardInterrupt):
        callback.ask(signal.SIGINT, None)


IN_MAIN_THREAD = pytest.mark.skipif(
    threading.current_thread() is not threading.main_thread(), reason="signals are the main thread's"
)


@IN_MAIN_THREAD
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


@IN_MAIN_THREAD
def test_handlers_are_as_before():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    with stoppable(StopCallback()):
        pass
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before


@pytest.mark.slow
def test_of_two_processes_one_signal_stops_both_at_one_step(tiny, tmp_path, write_jsonl):
    file = write_jsonl("pairs.jsonl", make_pairs(80))
    entry = tmp_path / "entry.py"
    entry.write_text("from dragon_finetune.cli.main import main\nmain()\n", encoding="utf-8")
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
