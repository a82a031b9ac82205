"""Several searches in one folder, and searches that are killed: each trial is tried once, by one process at a time."""

import json
import signal
import threading
import time

import psutil
import pytest
from conftest import make_pairs, start_command

from dragon_finetune.locks import held
from dragon_finetune.search.search import Search
from dragon_finetune.search.space import Space

SETTINGS = {"batch_size": 8, "device": "cpu", "save_steps": 5, "validation_share": 0.2}


@pytest.fixture
def command(write_jsonl, tiny, tmp_path):
    """Return the command of a search of two short trials."""
    settings = tmp_path / "settings.yaml"
    settings.write_text("".join(f"{name}: {value}\n" for name, value in SETTINGS.items()), encoding="utf-8")
    pairs = write_jsonl("pairs.jsonl", make_pairs(60))
    arguments = ["search", pairs, "--base-model", tiny, "--config", settings, "--budget", "9 runs", "--force"]
    arguments += ["--strategy", "grid", "--lr", "1e-4,1e-3", "--epochs", "1", "--warmup", "0.1", "--json"]
    return [*arguments, "--output", tmp_path / "out"]


def trainings(out):
    """Return the processes that train a trial under `out`."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        line = process.info["cmdline"] or []
        if "train" in line and any(str(out) in part for part in line) and process.info["status"] != "zombie":
            found.append(process)
    return found


def until(happens, within=90.0):
    end = time.monotonic() + within
    while time.monotonic() < end:
        if happens():
            return True
        time.sleep(0.05)
    return False


@pytest.mark.slow
def test_two_searches_in_one_folder_try_each_point_once(command, tmp_path):
    started = [start_command(*command, cwd=tmp_path) for _ in range(2)]
    said = [process.communicate() for process in started]
    assert [process.returncode for process in started] == [0, 0], said
    for out, _ in said:
        trials = json.loads(out)["trials"]
        points = [tuple(trial["settings"].values()) for trial in trials]
        assert len(points) == len(set(points)) == 2
        assert {trial["state"] for trial in trials} == {"complete"}


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.thorough)])
def test_no_trial_outlives_its_search_and_none_is_trained_twice_at_once(command, tmp_path, how):
    out = tmp_path / "out"
    first = start_command(*command, cwd=tmp_path)
    assert until(lambda: trainings(out))
    first.send_signal(how)
    first.communicate()
    second = start_command(*command, cwd=tmp_path)
    most = [0]
    done = threading.Event()

    def count():
        while not done.wait(0.1):
            most[0] = max(most[0], len(trainings(out)))

    counting = threading.Thread(target=count)
    counting.start()
    found = json.loads(second.communicate()[0])
    done.set()
    counting.join()
    assert most[0] == 1
    assert len(found["trials"]) == 2
    assert {trial["state"] for trial in found["trials"]} == {"complete"}


def test_a_trial_whose_folder_is_still_written_is_waited_for(write_jsonl, tiny, tmp_path):
    """A training that a killed search left behind may take its time to end."""
    settings = {**SETTINGS, "base_model": str(tiny), "output_dir": tmp_path / "out", "max_steps": 2}
    space = Space(learning_rate=(1e-4,), epochs=(1,), warmup=(0.1,))
    searching = Search(write_jsonl("pairs.jsonl", make_pairs(30)), settings, space=space, strategy="grid")
    folder = searching._config({"learning_rate": 1e-4, "epochs": 1, "warmup": 0.1}).output_dir
    busy, free = threading.Event(), threading.Event()

    def write():
        with held(folder.with_name(folder.name + ".work") / "run", wait=False):
            busy.set()
            free.wait(20)

    writer = threading.Thread(target=write)
    writer.start()
    busy.wait(10)
    threading.Timer(12, free.set).start()
    result = searching.run()
    writer.join()
    assert [trial.state for trial in result.trials] == ["complete"]
