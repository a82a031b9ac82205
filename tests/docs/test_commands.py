"""Every line that a page tells to type is one that the command line takes: its command, options and files."""

import shlex

import pytest
import typer
from pages_of_docs import READ, commands
from typer.main import get_command

from dragon_finetune.cli.app import app

COMMANDS = get_command(app).commands
LINES = sorted({(page.name, line) for page in READ for line in commands(page)})
_UNSAID = ("...", "[...]")


def as_a_shell(words: list[str]) -> list[str]:
    """Return the words with two files for each pattern."""
    return [word.replace("*", name) for word in words for name in ("ab" if "*" in word else "a")]


def parse(line: str) -> None:
    """Parse a line as the command line would, short of running it; words in capitals stand for any value."""
    name, *words = as_a_shell([word for word in shlex.split(line) if word not in _UNSAID])
    if name.isupper() or name.startswith("--"):  # COMMAND --help
        return
    command = COMMANDS[name]
    context = typer.Context(command, info_name=name, **command.context_settings)
    values, left, _ = command.make_parser(context).parse_args(args=words)
    assert context.allow_extra_args or not left, left
    for param in command.get_params(context):
        value = values.get(param.name)
        if isinstance(value, str) and not value.isupper():
            param.process_value(context, value)


def test_there_are_lines():
    found = {line.split()[0] for _, line in LINES}
    assert found >= {"audit", "lexicon", "train", "compare", "doctor", "embed", "serve"}


@pytest.mark.parametrize(("page", "line"), LINES, ids=[f"{page} {line[:50]}" for page, line in LINES])
def test_the_line_is_taken(page, line):
    parse(line)


WRONG = ("train x --outptu y", "auditt x", "calibrate a b c", "export --no-such", "chunk a b -m c --max-tokens x")


@pytest.mark.parametrize("line", WRONG)
def test_a_wrong_line_is_told(line):
    with pytest.raises(Exception, match=r"(?i)no such option|auditt|unexpected|'c'|integer"):
        parse(line)
