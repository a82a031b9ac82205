"""Two processes on one folder, and processes that end with the one that started them."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from conftest import make_pairs, start_command

from dragon_finetune.errors import BusyError
from dragon_finetune.locks import held
from dragon_finetune.processes import python_of_ours

COMMAND = Path(sys.executable).with_name("dragon-finetune")
HOLD = """
import sys, time
from dragon_finetune.locks import held
with held(sys.argv[1], wait=False):
    print('held', flush=True)
    time.sleep(60)
"""
PARENT = """
import sys, time
from dragon_finetune.processes import python_of_ours, start
child = start([sys.executable, "-c", "from dragon_finetune.processes import end_with_parent; import time; end_with_parent(); print('up', flush=True); time.sleep(60)"])
print(child.pid, flush=True)
time.sleep(60)
"""  # noqa: E501


def gone(pid, within=10.0):
    end = time.monotonic() + within
    while time.monotonic() < end:
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.1)
    return False


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "out")], stdout=subprocess.PIPE)
    process.stdout.readline()
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_the_second_is_refused_with_the_name_of_the_first(holder, tmp_path):
    named = rf"out is being written by another process \(process {holder.pid} on"
    with pytest.raises(BusyError, match=named), held(tmp_path / "out", wait=False):
        pass


def test_a_killed_holder_holds_nothing(holder, tmp_path):
    holder.kill()
    holder.wait()
    with held(tmp_path / "out", wait=False):
        pass


def test_one_that_waits_goes_on_when_the_first_has_ended(holder, tmp_path, capfd):
    waiting = subprocess.Popen(
        [sys.executable, "-c", HOLD.replace("False", "True").replace("60", "0"), str(tmp_path / "out")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert "waiting for another process" in waiting.stderr.readline()
    assert waiting.poll() is None
    holder.kill()
    out, _ = waiting.communicate(timeout=20)
    assert out == "held\n"


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT, signal.SIGHUP])
def test_a_child_ends_with_its_parent_however_that_ends(how):
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    child = int(parent.stdout.readline())
    assert parent.stdout.readline() == b"up\n"
    parent.send_signal(how)
    parent.wait()
    parent.stdout.close()
    assert gone(child)


@pytest.mark.parametrize("name", ["typer.py", "json.py", "numpy.py"])
def test_what_lies_in_the_current_folder_is_not_imported(tmp_path, name):
    (tmp_path / name).write_text("open('ran', 'w').close()", encoding="utf-8")
    done = subprocess.run(
        python_of_ours("dragon_finetune.cli", ["plugins"]), cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "ran").exists()


@pytest.mark.slow
def test_two_that_embed_into_one_folder_lose_nothing_and_do_nothing_twice(tiny, tmp_path):
    rows = [{"text": f"The bell of house {n} rang, and {n % 7} knots were tied."} for n in range(1500)]
    (tmp_path / "chunks.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    command = ["embed", "chunks.jsonl", "-m", tiny, "--engine", "torch", "--precision", "fp32"]
    for turn in range(int(os.environ.get("KILLS", "2"))):
        started = [start_command(*command, "--out", f"out{turn}", cwd=tmp_path) for _ in range(2)]
        said = [process.communicate()[0] for process in started]
        assert [process.returncode for process in started] == [0, 0]
        embedded = sorted(int(text.split()[0]) for text in said)
        assert embedded == [0, 1500]


@pytest.mark.slow
def test_two_that_train_into_one_folder_the_second_is_refused_by_name(tiny, tmp_path, cli, write_jsonl):
    write_jsonl("pairs.jsonl", make_pairs(200))
    command = ["train", "pairs.jsonl", "--base-model", tiny, "--output", "out", "--epochs", "3", "--json"]
    first = start_command(*command, cwd=tmp_path)
    while not (tmp_path / "out.work" / "run.json").exists():
        assert first.poll() is None
        time.sleep(0.05)
    first.send_signal(signal.SIGSTOP)  # else it might end before the second has started
    second = cli(*command)
    first.send_signal(signal.SIGCONT)
    assert second.returncode == 2
    assert f"another process (process {first.pid} on" in second.stderr
    assert json.loads(first.communicate()[0])["path"] == str(tmp_path / "out")
    assert first.returncode == 0


def test_a_signal_to_a_command_that_has_ended_goes_nowhere(tmp_path):
    process = start_command("plugins", cwd=tmp_path)
    assert gone(process.pid, within=60)  # and nobody here has asked
    process.kill()
    assert process.wait() == 0


def test_a_command_is_waited_for_beside_a_thousand_open_files(tmp_path):
    with contextlib.ExitStack() as files:
        for _ in range(1024):
            files.enter_context(Path(os.devnull).open("rb"))
        assert "finetuned" in start_command("plugins", cwd=tmp_path).communicate()[0]
