"""A BEIR folder as a test set: its queries with their judgements, over its corpus."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dragon_finetune.files import absolute
from dragon_finetune.reading.beir import is_beir, is_qrels, read_judged
from dragon_finetune.reading.saying import say_once


def is_test_set(path: Path | str) -> bool:
    """Tell whether judged questions lie in BEIR's form: a folder, or one of its qrels files."""
    return is_beir(path) or is_qrels(path)


def chunk_files(judged: Path | None, files: Sequence[Path]) -> tuple[Path, ...]:
    """Return the chunk files that are given; of none, the BEIR folder in which the judged questions lie."""
    if files or judged is None or not is_test_set(judged):
        return tuple(files)
    return (judged if is_beir(judged) else absolute(judged).parent.parent,)


def questions_of(path: Path | str) -> list[dict[str, Any]]:
    """Return the judged questions of a BEIR folder's qrels/test.tsv, or of the qrels file that is given.

    Every passage with a score above 0 is an answer, however high: ranks are judged by right and wrong alone.

    Raises:
        DataError: as `read_judged`.
    """
    judged = read_judged(path, "test")
    answers = sum(map(len, judged.answers.values()))
    said = f"BEIR, {len(judged.queries):,} queries, {judged.file.parent.name}/{judged.file.name}"
    say_once(path, f"{said}: {answers:,} answers (any score above 0)")
    return [
        {"question_id": query, "question": judged.queries[query], "answers": answers}
        for query, answers in judged.answers.items()
    ]
