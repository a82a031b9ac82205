"""Commands that say whether it helped: evaluate, compare, calibrate."""

from pathlib import Path
from typing import Annotated

import typer

from dragon_finetune.cli.options import Chunks, Era, Json, Pairs, Questions, print_result
from dragon_finetune.errors import SettingsError


def evaluate(
    results: Annotated[Path | None, typer.Argument(help="The host's answers file.")] = None,
    more: Annotated[list[Path] | None, typer.Argument(hidden=True)] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Or a model, with --chunks and --questions.")
    ] = None,
    chunks: Chunks = None,
    questions: Questions = None,
    pairs: Pairs = None,
    era: Era = None,
    baseline: Annotated[float | None, typer.Option(help="Also say how far the mean lies above this one.")] = None,
    as_json: Json = False,
) -> None:
    """Score a retrieval run as the host of its era does: mean, and by group. Exits with 1 if it leaked."""
    from dragon_finetune.evaluation.runs import Corpus, load_run
    from dragon_finetune.evaluation.summary import summarise
    from dragon_finetune.evaluation.training_record import look_for_leaks, training_pairs

    # What the shell makes of `--chunks *.jsonl`: one file for the option, the others stand alone.
    loose = [path for path in (results, *(more or [])) if path is not None]
    files = [*(chunks or []), *(path for path in loose if path.suffix == ".jsonl")]
    answers = [path for path in loose if path.suffix != ".jsonl"]
    if len(answers) + (model is not None) != 1:
        raise SettingsError("give one answers file, or --model with --chunks and --questions.")
    run = load_run(model or answers[0], Corpus(tuple(files), questions), era)
    leaks = look_for_leaks(run, training_pairs(pairs, model))
    summary = summarise(run, leaks, baseline=baseline)
    print_result(summary.to_dict(), str(summary), as_json)
    raise typer.Exit(1 if leaks else 0)


def compare(
    base: Annotated[str, typer.Argument(help="The base's answers file; or a model, with --chunks and --questions.")],
    tuned: Annotated[list[str], typer.Argument(help="The tuned model's, or several candidates'.")],
    model: Annotated[str | None, typer.Option("--model", "-m", help="The tuned folder, where TUNED is a file.")] = None,
    chunks: Chunks = None,
    questions: Questions = None,
    judged: Annotated[
        Path | None, typer.Option(help="Questions with the ids of the chunks that answer them, for two models.")
    ] = None,
    pairs: Pairs = None,
    html: Annotated[Path | None, typer.Option(help="Write the report as one page.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write it as markdown, for a pull request.")] = None,
    seed: Annotated[int, typer.Option(help="Of the resampling.")] = 0,
    era: Era = None,
    as_json: Json = False,
) -> None:
    """Say whether the tuned model is better, by how much, and whether to believe it. Exits with 1 unless it is."""
    from dragon_finetune.evaluation.judging import Request, judge

    files = [*(chunks or []), *(Path(path) for path in tuned if path.endswith(".jsonl"))]
    candidates = [source for source in tuned if not source.endswith(".jsonl")]
    if not candidates:
        raise SettingsError("give the tuned model's answers file too: dragon-finetune compare BASE TUNED.")
    outcome = judge(Request(base, tuple(candidates), tuple(files), questions, pairs, model, seed, era, judged))
    if html:
        outcome.write_html(html)
    if markdown:
        outcome.write_markdown(markdown)
    print_result(outcome.to_dict(), str(outcome), as_json)
    raise typer.Exit(outcome.exit_code)


def calibrate(
    base: Annotated[Path, typer.Argument(help="The base's answers file.")],
    tuned: Annotated[Path, typer.Argument(help="The tuned model's answers file.")],
    as_json: Json = False,
) -> None:
    """Propose distance thresholds that treat the tuned model as the host's treat the base."""
    from dragon_finetune.evaluation.calibration import calibrate as propose
    from dragon_finetune.evaluation.scores import evaluate_results

    calibration = propose(evaluate_results(base), evaluate_results(tuned))
    print_result(calibration.to_dict(), str(calibration), as_json)
