"""The command that searches hyper-parameters: search."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dragon_finetune.cli.options import Chunks, Json, Questions, TextField, all_of, print_result
from dragon_finetune.errors import NoPromiseError, SettingsError

if TYPE_CHECKING:
    from dragon_finetune.search.space import Space


def _numbers(text: str | None, name: str) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        return tuple(float(each) for each in text.split(",") if each.strip())
    except ValueError:
        raise SettingsError(f"{name} is {text!r}; write numbers with commas between: 1e-5,2e-5.") from None


def _space(lr: str | None, epochs: str | None, warmup: str | None) -> "Space":
    from dragon_finetune.search.space import Space

    given = {"learning_rate": _numbers(lr, "--lr"), "epochs": _numbers(epochs, "--epochs")}
    given["warmup"] = _numbers(warmup, "--warmup")
    return Space(**{name: values for name, values in given.items() if values is not None})


def _pass_gate(first_run: Path | None, gate: float) -> None:
    """Exit with 1 and the reason where the first run shows no promise."""
    from dragon_finetune.search.promise import require_promise

    try:
        require_promise(first_run, gate)
    except NoPromiseError as refusal:
        print(refusal, file=sys.stderr)
        raise typer.Exit(1) from None


def search(
    pairs: Annotated[Path, typer.Argument(help="The pairs file.")],
    base_model: Annotated[str, typer.Option(help='A model folder, a hub name, or "embedded".')],
    output: Annotated[Path, typer.Option(help="Folder of the search; the same command goes on in it.")],
    budget: Annotated[str, typer.Option(help="10h, 90m, or '8 runs'.")],
    more: Annotated[list[Path] | None, typer.Argument(hidden=True)] = None,
    first_run: Annotated[Path | None, typer.Option(help="Answers file of the first fine-tuned run: the gate.")] = None,
    gate: Annotated[float, typer.Option(help="The score from which a search is worth while.")] = 2.5,
    force: Annotated[bool, typer.Option(help="Search whatever the gate says.")] = False,
    strategy: Annotated[str, typer.Option(help="adaptive | grid | factors (one at a time)")] = "adaptive",
    lr: Annotated[str | None, typer.Option(help="Values to try, with commas.")] = None,
    epochs: Annotated[str | None, typer.Option(help="Values to try, with commas.")] = None,
    warmup: Annotated[str | None, typer.Option(help="Values to try, with commas.")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML of the other TrainingConfig settings.")] = None,
    seed: int = 42,
    chunks: Chunks = None,
    text_field: TextField = None,
    questions: Questions = None,
    html: Annotated[Path | None, typer.Option(help="Write the report as one page.")] = None,
    dry_run: Annotated[bool, typer.Option(help="Print the trials and their time; try nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Search learning rate, epochs and warm-up within a budget.

    Judged by held-back pairs, never by test questions. Exits with 1 if the gate says no.

    Example: dragon-finetune search pairs.jsonl --base-model embedded --output search --budget 10h
    """
    from dragon_finetune.search.budget import Budget
    from dragon_finetune.search.report import finish
    from dragon_finetune.search.search import Search
    from dragon_finetune.settings import read_yaml

    files = all_of("--chunks", chunks, more)
    settings = {**(read_yaml(config) if config else {}), "base_model": base_model, "output_dir": output}
    searching = Search(
        pairs,
        settings,
        space=_space(lr, epochs, warmup),
        strategy=strategy,  # type: ignore[arg-type]
        budget=Budget.parse(budget),
        seed=seed,
    )
    if not dry_run and not force:
        _pass_gate(first_run, gate)
    plan = searching.plan()
    print(plan, file=sys.stderr if as_json else sys.stdout, flush=True)
    if dry_run:
        return
    outcome = finish(searching.run(), base_model, tuple(files), questions, html, text_field)
    print_result(outcome.to_dict(), str(outcome), as_json)
