"""What the command line says of itself, and how quiet it can be."""

import shlex

import pytest
import typer.main
from conftest import run_command, run_here

from dragon_finetune.cli.app import app

COMMANDS = typer.main.get_command(app).commands


def help_of(*command, monkeypatch, columns="80"):
    monkeypatch.setenv("COLUMNS", columns)
    done = run_here(*command, "--help")
    assert done.returncode == 0
    return done.stdout


def test_it_says_its_version():
    done = run_here("--version")
    assert done.stdout.startswith("dragon-finetune 0.")


def test_all_commands_fit_a_screen_in_their_groups(monkeypatch):
    said = help_of(monkeypatch=monkeypatch)
    assert len(said.splitlines()) <= 50
    places = [said.index(f"─ {group} ─") for group in ("Make", "Train", "Judge", "Index", "Use")]
    assert places == sorted(places)
    assert all(f"│ {name} " in said for name in COMMANDS)
    assert "Exit codes: 0" in said


@pytest.mark.parametrize("name", COMMANDS)
def test_a_commands_help_fits_a_screen_and_has_a_line_that_can_be_typed(name, monkeypatch):
    said = help_of(name, monkeypatch=monkeypatch, columns="100")
    assert len(said.splitlines()) <= 55
    example = COMMANDS[name].help.partition("Example: ")[2]
    program, command, *arguments = shlex.split(example)
    assert (program, command) == ("dragon-finetune", name)
    # Raises for an option that is not there, or an argument that is missing.
    COMMANDS[name].make_context(name, arguments)


def test_there_is_no_colour_where_there_is_no_terminal(cli):
    done = cli("--help")
    assert "\x1b" not in done.stdout + done.stderr


def test_shells_complete_it(cli):
    done = cli(_DRAGON_FINETUNE_COMPLETE="complete_bash", COMP_WORDS="dragon-finetune im", COMP_CWORD="1")
    assert done.stdout.split() == ["improve"]


@pytest.mark.parametrize("quiet", ["--quiet", "-q"])
def test_quiet_says_nothing_of_how_far_it_is_but_tells_errors(cli, tiny, write_jsonl, tmp_path, quiet):
    file = write_jsonl("chunks.jsonl", [{"text": f"The oar {n} was lost."} for n in range(50)])
    done = cli(quiet, "audit", file, "-m", tiny)
    assert done.returncode == 0
    assert done.stderr == ""
    assert "50 texts" in done.stdout
    wrong = run_command(quiet, "audit", "none.jsonl", "-m", tiny, cwd=tmp_path)
    assert "none.jsonl" in wrong.stderr


def test_quiet_goes_for_what_run_runs(cli, tmp_path):
    (tmp_path / "script.py").write_text("import os; print(os.environ['DRAGON_FINETUNE_QUIET'])", encoding="utf-8")
    assert cli("--quiet", "run", "script.py").stdout.strip() == "1"
