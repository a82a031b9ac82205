"""Options that several commands share, and how a result is printed."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from dragon_finetune.errors import SettingsError
from dragon_finetune.json_text import dump
from dragon_finetune.text import printable

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else there.")]
Model = Annotated[str, typer.Option("--model", "-m", help='A model folder, a hub name, or "embedded".')]
Chunks = Annotated[list[Path] | None, typer.Option("--chunks", help="The indexed chunk files or folders, one or more.")]
TextField = Annotated[
    str | None,
    typer.Option(help="The field that holds the text; default: text, content, page_content or document."),
]
Questions = Annotated[Path | None, typer.Option("--questions", help="The questions file, to ask a model.")]
Judged = Annotated[
    Path | None,
    typer.Option(help="Questions with the ids of the chunks that answer them, or a BEIR folder; asked of models."),
]
Era = Annotated[
    str | None,
    typer.Option(
        "--era", help="a: the 1 to 5 rubric; b: the newer host's quality, 0 to 5. Default: as the file tells."
    ),
]
Pairs = Annotated[Path | None, typer.Option("--pairs", help="The training pairs, to look for leaks.")]


def all_of(option: str, given: list[Path] | None, more: list[Path] | None) -> list[Path]:
    """Return the files of an option: what a shell makes of `--chunks *.jsonl` is one for it, and others beside it.

    Raises:
        SettingsError: others stand alone without the option.
    """
    if more and not given:
        raise SettingsError(f"{more[0]} stands alone; give chunk files as {option} {more[0]}.")
    return [*(given or []), *(more or [])]


def print_result(value: Any, text: str, as_json: bool) -> None:
    """Print a result for people, or as the one JSON document on stdout."""
    print(_fit_for_stdout(dump(value, indent=2)) if as_json else printable(text))


def _fit_for_stdout(text: str) -> str:
    # JSON is read as UTF-8. On Windows a pipe has an old code page, of which only ASCII is the same in both.
    is_utf_8 = (sys.stdout.encoding or "utf-8").lower().replace("-", "").replace("_", "") == "utf8"
    return text if is_utf_8 else json.dumps(json.loads(text), indent=2)
