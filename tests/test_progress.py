"""Long work says something every half minute where stderr is no terminal; every loop by one piece of code."""

import ast
import re
import sys
import time
from pathlib import Path

import pytest
from conftest import make_pairs, run_code

import dragon_finetune
from dragon_finetune import progress as told
from dragon_finetune.files import write_json, write_jsonl
from dragon_finetune.progress import _VOICE, progress, working

PACKAGE = Path(dragon_finetune.__file__).parent
# The command, with half a minute that is over at once.
HURRIED = (
    "import sys; from dragon_finetune import progress as told; told.INTERVAL = 0.002;"
    "from dragon_finetune.cli.main import main; main()"
)
FEW = "--base-model tiny --config few.yaml"
ASKED = "--chunks chunks.jsonl --questions questions.json"
COMMANDS = {
    "audit": ("audit many.jsonl -m tiny", r"audit: \d+/"),
    "chunk": ("chunk many.jsonl pieces.jsonl -m tiny", r"chunk: \d+/"),
    "pairs": ("pairs chunks.jsonl --out made.jsonl -m tiny --hard-negatives 1", r"hybrid search: \d+/\d"),
    "train": (f"train pairs.jsonl {FEW} --output out", r"train: \d+/20"),
    "embed": ("embed chunks.jsonl -m tiny --out v --engine torch", r"embed: \d+/200"),
    "evaluate": (f"evaluate -m tiny {ASKED}", "evaluate: at work for "),
    "compare": (f"compare tiny tiny {ASKED}", "compare: at work for "),
    "doctor": ("doctor -m tiny --store stores --chunks chunks.jsonl", "doctor: at work for "),
    "search": (f"search pairs.jsonl {FEW} --output found --force --budget", r"trials: \d+/"),
}


@pytest.fixture
def hurried(monkeypatch):
    monkeypatch.setattr("dragon_finetune.progress._VOICE", type(_VOICE)())  # an earlier test may have left work open
    monkeypatch.setattr(told, "INTERVAL", 0.01)


@pytest.fixture(scope="module")
def place(tmp_path_factory, tiny):
    """A folder with what the commands need."""
    folder = tmp_path_factory.mktemp("progress")
    (folder / "tiny").symlink_to(tiny)
    rows = [{"chunk_id": f"c{n}", "text": f"Tale {n} of the lamp. House {n} has an oar."} for n in range(200)]
    write_jsonl(folder / "chunks.jsonl", rows)
    write_jsonl(folder / "many.jsonl", rows * 50)
    write_jsonl(folder / "pairs.jsonl", make_pairs(40))
    write_json(folder / "few.yaml", {"max_steps": 20, "batch_size": 8, "device": "cpu", "on_overflow": "truncate"})
    question = {"question": "who lit the lamp", "category": "plot", "expected_topics": ["lamp"]}
    asked = [{"question_id": n, "difficulty": "easy", **question} for n in range(3)]
    write_json(folder / "questions.json", {"questions": asked})
    store = ["embed", "chunks.jsonl", "-m", "tiny", "--out", "w", "--engine", "torch"]
    hurry(folder, [*store, "--store", "stores", "--collection", "books"])
    return folder


def hurry(folder, arguments):
    return run_code(HURRIED, *arguments, cwd=folder)


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_every_long_command_says_how_far_it_is(place, name):
    line, said = COMMANDS[name]
    done = hurry(place, [*line.split(), *(["1 runs"] if name == "search" else [])])
    assert done.returncode in (0, 1), done.stderr
    assert re.search(rf"^{said}", done.stderr, re.MULTILINE), done.stderr
    assert "\r" not in done.stderr


def test_only_one_piece_of_code_draws_bars():
    users = [
        file.relative_to(PACKAGE).as_posix()
        for file in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module == "tqdm"
    ]
    assert users == ["progress.py"]


def test_a_line_each_interval_with_how_far_how_long_and_how_fast(hurried, capsys):
    for _ in progress(range(4), desc="embed", unit="chunk"):
        time.sleep(0.03)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) >= 4
    assert all(re.fullmatch(r"embed: \d/4 \[00:00<.*chunk.*\]", line) for line in lines)
    shown = [int(line.split()[1][0]) for line in lines]
    assert shown == sorted(shown)
    assert shown[-1] > 0


def test_the_innermost_work_speaks_and_one_long_step_is_no_silence(hurried, capsys):
    with working("evaluate"):
        time.sleep(0.05)
        with progress(total=9, desc="embed", unit="chunk", initial=2) as bar:
            bar.update(3)
            bar.set_postfix(loss="0.5")
            time.sleep(0.05)
        assert bar.n == 5
        time.sleep(0.05)
    time.sleep(0.05)
    lines = capsys.readouterr().err.splitlines()
    names = [line.split(":")[0] for line in lines]
    assert [name for name, before in zip(names, [None, *names], strict=False) if name != before] == [
        "evaluate", "embed", "evaluate",
    ]  # fmt: skip
    assert any("5/9" in line and "loss=0.5" in line for line in lines)


def test_short_work_says_nothing_and_nobody_speaks_afterwards(capsys, monkeypatch):
    assert list(progress([1, 2], desc="x", unit="y")) == [1, 2]
    monkeypatch.setattr(told, "INTERVAL", 0.01)
    assert list(progress([1, 2], desc="x", unit="y", show=False)) == [1, 2]
    with pytest.raises(ZeroDivisionError):
        for each in progress([0], desc="x", unit="y"):
            1 / each
    time.sleep(0.05)
    assert capsys.readouterr().err == ""


def test_a_terminal_has_a_bar_and_no_lines(hurried, monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with working("evaluate"):
        for _ in progress(range(3), desc="embed", unit="chunk"):
            time.sleep(0.03)
    shown = capsys.readouterr().err
    assert "\r" in shown
    assert "evaluate" not in shown


@pytest.mark.parametrize("closed", ["none", "closed"])
def test_a_stderr_that_is_gone_stops_no_work(hurried, monkeypatch, tmp_path, closed):
    gone = (tmp_path / "x").open("w")
    gone.close()
    monkeypatch.setattr(sys, "stderr", None if closed == "none" else gone)
    items = []
    with working("evaluate"):
        for each in progress(range(3), desc="embed", unit="chunk"):
            time.sleep(0.02)
            items.append(each)
    assert items == [0, 1, 2]


def test_what_was_never_begun_is_not_spoken_of(hurried, capsys):
    begun = progress(range(3), desc="load", unit="chunk")
    time.sleep(0.05)
    assert capsys.readouterr().err == ""
    assert list(begun) == [0, 1, 2]
