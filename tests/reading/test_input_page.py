"""The page on input says what happens: its files are written, its commands and code are run, its lines are printed."""

import re
from pathlib import Path

import pytest
from conftest import run_here

PAGE = (Path(__file__).parents[2] / "docs" / "input.md").read_text(encoding="utf-8")
FILES = re.findall(r'```\w+ title="([^"]+)"\n(.*?)```', PAGE, re.DOTALL)
COMMANDS = re.findall(
    r"^\$ (.*)\n((?:[^$`].*\n)*)", "".join(re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)), re.M
)
CODE = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def folder(tmp_path, tiny, monkeypatch):
    for name, content in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content, encoding="utf-8")
    (tmp_path / "embedded").symlink_to(tiny)  # it is there at once, and reads the same
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("command", "lines"), COMMANDS, ids=[command[:60] for command, _ in COMMANDS])
def test_the_commands_say_what_the_page_says(folder, command, lines):
    done = run_here(*command.replace("embedded", "./embedded").split()[1:])
    assert lines.splitlines()
    for line in lines.splitlines():
        line = line.partition("    ")[0]  # the figures are the packaged model's
        assert line in done.stdout + done.stderr, (done.stdout, done.stderr)
    assert done.returncode == (2 if lines.startswith("error") else 1 if "compare" in command else 0)


@pytest.mark.parametrize("code", CODE)
def test_the_code_runs(folder, code):
    exec(code, {})  # it holds the assertions
