"""Commands that say whether it helped: evaluate, compare, calibrate."""

from pathlib import Path
from typing import Annotated

import typer

from dragon_finetune.cli.options import Chunks, Era, Json, Judged, Pairs, Questions, TextField, print_result
from dragon_finetune.errors import SettingsError
from dragon_finetune.reading.kinds import is_chunk_file


def evaluate(
    results: Annotated[Path | None, typer.Argument(help="The host's answers file.")] = None,
    more: Annotated[list[Path] | None, typer.Argument(hidden=True)] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Or a model, with --chunks and --questions.")
    ] = None,
    chunks: Chunks = None,
    questions: Questions = None,
    judged: Judged = None,
    text_field: TextField = None,
    pairs: Pairs = None,
    era: Era = None,
    baseline: Annotated[float | None, typer.Option(help="Also say how far the mean lies above this one.")] = None,
    as_json: Json = False,
) -> None:
    """Score one retrieval run, or one model.

    An answers file is scored as the host of its era does; with --judged alone: how a model ranks the right chunks.
    Exits with 1 if test questions were trained on.

    Example: dragon-finetune evaluate answers.json
    """
    from dragon_finetune.evaluation.beir import chunk_files
    from dragon_finetune.evaluation.judged_alone import evaluate_judged
    from dragon_finetune.evaluation.runs import Corpus, load_run
    from dragon_finetune.evaluation.summary import summarise
    from dragon_finetune.evaluation.training_record import look_for_leaks, training_pairs

    # What the shell makes of `--chunks *.jsonl`: one file for the option, the others stand alone.
    loose = [path for path in (results, *(more or [])) if path is not None]
    files = [*(chunks or []), *(path for path in loose if is_chunk_file(path))]
    answers = [path for path in loose if not is_chunk_file(path)]
    if len(answers) + (model is not None) != 1:
        raise SettingsError("give one answers file, or --model with --chunks and --questions.")
    if judged and (questions or answers or not model):
        raise SettingsError("--judged asks a model and stands alone: give --model, and no answers file or --questions.")
    corpus = Corpus(chunk_files(judged, files), questions, text_field=text_field)
    if judged and model:
        found = evaluate_judged(model, judged, corpus, pairs)
        print_result(found.to_dict(), str(found), as_json)
        raise typer.Exit(1 if found.leaks else 0)
    run = load_run(model or answers[0], corpus, era)
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
    judged: Judged = None,
    text_field: TextField = None,
    pairs: Pairs = None,
    html: Annotated[Path | None, typer.Option(help="Write the report as one page.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write it as markdown, for a pull request.")] = None,
    seed: Annotated[int, typer.Option(help="Of the resampling.")] = 0,
    era: Era = None,
    as_json: Json = False,
) -> None:
    """Say whether a model is believably better than the base.

    Exits with 1 unless it is. With --judged and no --questions, the judged questions alone decide.

    Example: dragon-finetune compare embedded models/finetuned --chunks chunks.jsonl --judged judged.json
    """
    from dragon_finetune.evaluation.judged_alone import judge_alone
    from dragon_finetune.evaluation.judging import Request, judge

    files = [*(chunks or []), *(Path(path) for path in tuned if is_chunk_file(path))]
    candidates = [source for source in tuned if not is_chunk_file(source)]
    if not candidates:
        raise SettingsError("give the tuned model's answers file too: dragon-finetune compare BASE TUNED.")
    request = Request(base, tuple(candidates), tuple(files), questions, pairs, model, seed, era, judged, text_field)
    if judged and not questions:
        if html or markdown or model or era:
            raise SettingsError("--html, --markdown, --model and --era need --questions; --judged alone has none.")
        alone = judge_alone(base, candidates, judged, request.corpus, pairs, seed=seed)
        print_result(alone.to_dict(), str(alone), as_json)
        raise typer.Exit(alone.exit_code)
    outcome = judge(request)
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
    """Propose the host's distance thresholds for a tuned model.

    They treat it as the host's own treat the base.

    Example: dragon-finetune calibrate base_answers.json tuned_answers.json
    """
    from dragon_finetune.evaluation.calibration import calibrate as propose
    from dragon_finetune.evaluation.scores import evaluate_results

    calibration = propose(evaluate_results(base), evaluate_results(tuned))
    print_result(calibration.to_dict(), str(calibration), as_json)
