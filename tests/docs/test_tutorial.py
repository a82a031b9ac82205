"""The tutorial's commands and code run in order, and say what the page says; the figures are the packaged model's.

The audit runs with that model and is compared figure by figure. The rest runs with a tiny model in its place (but for
the plan of the training, whose texts that does not read), so there the lines are compared without their figures.
"""

import contextlib
import io
import re
import shutil
from pathlib import Path

import pytest
from conftest import EXAMPLES, run_here
from pages_of_docs import ROOT, blocks

PAGE = ROOT / "docs" / "tutorial.md"
COMMANDS = re.findall(r"^\$ dragon-finetune (.*)\n((?:[^$].*\n)*)", "".join(blocks(PAGE, "console")), re.MULTILINE)
NOT_RUN = re.compile(r"train (?!.*--dry-run)|(?!train).* models/finetuned")  # minutes of training, and what needs them


def without_figures(line: str) -> str:
    """Return a line in which every number is 0, and every engine one."""
    return " ".join(re.sub(r"\((openvino|torch)-\w+\)|[-+]?\d[\d.,]*", "0", line).split())


def is_said(line: str, output: str) -> bool:
    """Tell whether a line of the page, in which `[...]` is anything, is one of the output but for its figures."""
    pattern = ".*".join(re.escape(without_figures(part)) for part in line.split("[...]"))
    return any(re.fullmatch(pattern, without_figures(printed)) for printed in output.splitlines())


@pytest.fixture(scope="module")
def codex(tmp_path_factory, tiny):
    place = tmp_path_factory.mktemp("tutorial") / "codex"
    shutil.copytree(EXAMPLES / "dragons_codex", place)
    (place / "embedded").symlink_to(tiny)
    return place


def arguments(command: str) -> list[str]:
    """Return the words of a command, patterns replaced by their files, as a shell does."""
    return [name for word in command.split() for name in (sorted(map(str, Path().glob(word))) or [word])]


def test_the_page_has_its_commands():
    assert [command.split()[0] for command, _ in COMMANDS][:3] == ["audit", "lexicon", "compare"]
    assert len(blocks(PAGE, "python")) == 1


def test_the_audit_says_what_the_page_says(codex, monkeypatch):
    monkeypatch.chdir(codex)
    command, lines = COMMANDS[0]
    said = run_here(*arguments(command)).stdout
    assert said.startswith(lines.partition("[...]")[0])


@pytest.mark.slow
def test_the_rest_runs_in_order(codex, monkeypatch):
    monkeypatch.chdir(codex)
    run = [(command, lines) for command, lines in COMMANDS[1:] if not NOT_RUN.match(command)]
    assert len(run) >= 6
    for command, lines in run:
        model = "embedded" if command.startswith("train") else "./embedded"
        done = run_here(*(model if word == "embedded" else word for word in arguments(command)))
        assert done.returncode in (0, 1), done.stderr
        for line in lines.replace("which embedded", "which ./embedded").splitlines():
            assert is_said(line, done.stdout), (line, done.stdout)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(blocks(PAGE, "python")[0], {})
    assert re.fullmatch(r"(\d\.\d\d .*\n){3}", out.getvalue())
