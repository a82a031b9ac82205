"""The command that makes a model fast on a laptop, and proves it: quantize."""

from pathlib import Path
from typing import Annotated

import typer

from dragon_finetune.cli.options import Json, Judged, Model, TextField, print_result
from dragon_finetune.text import printable


def quantize(
    chunks: Annotated[list[Path], typer.Argument(help="What is to be embedded: files of chunks, or folders.")],
    model: Model,
    judged: Judged = None,
    seed: Annotated[int, typer.Option(help="Of the sample to calibrate on, and of the resampling.")] = 0,
    text_field: TextField = None,
    as_json: Json = False,
) -> None:
    """Make a model's int8 form for this machine, and judge it.

    `precision: int8` then uses it. Without --judged the queries that a tuned model was trained on are asked. Exits with
    1 unless it is accepted.

    Example: dragon-finetune quantize chunks.jsonl --model models/finetuned --judged judged.json
    """
    from dragon_finetune.evaluation.beir import chunk_files
    from dragon_finetune.evaluation.int8 import quantise_and_judge, questions_about
    from dragon_finetune.evaluation.runs import Corpus
    from dragon_finetune.model_folder import ModelFolder

    corpus = Corpus(chunk_files(judged, chunks), text_field=text_field).chunks
    questions = questions_about(ModelFolder.open(model).path, corpus, judged)
    found = quantise_and_judge(model, corpus, questions, seed=seed)
    print_result(found.to_dict(), printable(str(found)), as_json)
    raise typer.Exit(0 if found.verdict == "accepted" else 1)
