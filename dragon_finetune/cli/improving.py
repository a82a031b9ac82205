"""The command for one's own text, from chunks to a page: improve."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from dragon_finetune.cli.options import Json, TextField, print_result
from dragon_finetune.errors import SettingsError
from dragon_finetune.progress import QUIET
from dragon_finetune.text import printable


def improve(
    chunks: Annotated[list[Path], typer.Argument(help="What is searched: files of texts, or folders.")],
    base_model: Annotated[str, typer.Option(help='A model folder, a hub name, or "embedded".')],
    output: Annotated[Path, typer.Option(help="The folder to work in; the same command goes on there.")],
    questions: Annotated[
        Path | None, typer.Option(help="The test: questions with the ids of their answers, BEIR, or a host's.")
    ] = None,
    pairs: Annotated[Path | None, typer.Option(help="Questions with their passages, to train on.")] = None,
    llm: Annotated[str | None, typer.Option(help="Or a model of an Ollama server, to ask for such questions.")] = None,
    llm_url: Annotated[str, typer.Option(help="Where the server is.")] = "http://localhost:11434",
    budget: Annotated[str | None, typer.Option(help="Time at most, such as 2h or 90m; training is cut to it.")] = None,
    on_overflow: Annotated[str, typer.Option(help="error | truncate: pairs longer than the base reads.")] = "error",
    text_field: TextField = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask whether to go on.")] = False,
    dry_run: Annotated[bool, typer.Option(help="Print the plan; leave nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Go the whole path for your own text, to a page to read.

    Look, plan, join the words, train if there is what to train on, compare, choose, embed.

    Example: dragon-finetune improve notes/ --base-model embedded --output improved --questions judged.json
    """
    from dragon_finetune.improve.improving import improve as make
    from dragon_finetune.improve.improving import look_ahead
    from dragon_finetune.improve.request import Request
    from dragon_finetune.search.budget import Budget

    seconds = Budget.parse(budget).seconds if budget else None
    if budget and seconds is None:
        raise SettingsError(f"the budget is {budget!r}; give a time, such as 2h.")
    training = {"on_overflow": on_overflow}
    request = Request(tuple(chunks), base_model, output, questions, pairs, llm, llm_url, seconds, text_field, training)
    if dry_run:
        plan = look_ahead(request)
        print_result(plan.to_dict(), str(plan), as_json)
        return
    made = make(request, confirm=lambda plan: yes or _agreed(), say=_say)
    if made is None:
        raise typer.Exit(1)
    print_result(made.to_dict(), str(made), as_json)


def _agreed() -> bool:
    return not sys.stdin.isatty() or typer.confirm("go on?", default=True, err=True)


def _say(text: str) -> None:
    if QUIET not in os.environ:
        print(printable(text), file=sys.stderr, flush=True)
