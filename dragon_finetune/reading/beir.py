"""A folder in BEIR's form: corpus.jsonl, queries.jsonl, and judgements in qrels/{train,dev,test}.tsv."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dragon_finetune.errors import DataError
from dragon_finetune.files import absolute, json_lines
from dragon_finetune.reading.opening import opened
from dragon_finetune.reading.records import Placed
from dragon_finetune.reading.saying import say_once
from dragon_finetune.text import check_text

_COLUMNS = ["query-id", "corpus-id", "score"]


def is_beir(folder: Path | str) -> bool:
    """Tell whether a folder is in BEIR's form: it has a corpus and queries."""
    return all(_file(folder, name).expanduser().is_file() for name in ("corpus", "queries"))


def is_qrels(path: Path | str) -> bool:
    """Tell whether a file is one of a BEIR folder's judgements."""
    place = absolute(path)
    return place.suffix == ".tsv" and place.parent.name == "qrels" and is_beir(_folder_of(path))


def read_passages(folder: Path | str) -> Iterator[Placed]:
    """Yield the passages of a BEIR folder: title and text joined by a space, as BEIR does; `chunk_id` is the `_id`.

    Raises:
        DataError: the corpus can't be read, or a passage has no id or no text.
    """
    number = 0
    for placed in _passages(folder):
        number += 1
        yield placed
    say_once(folder, f"BEIR, {number:,} passages, title and text")


def _passages(folder: Path | str) -> Iterator[Placed]:
    for where, identity, record in _records(folder, "corpus"):
        text = f"{record.get('title') or ''} {record.get('text') or ''}".strip()
        yield where, {**record, "text": check_text(text, where), "chunk_id": identity}


@dataclass(frozen=True)
class Judged:
    """Judgements of one file: what was asked, and which passages answer it.

    Attributes:
        file: the judgements.
        folder: whose they are.
        queries: query id -> its text, of those that have an answer.
        answers: query id -> ids of the passages with a score above 0.
    """

    file: Path
    folder: Path
    queries: dict[str, str]
    answers: dict[str, list[str]]


def read_judged(path: Path | str, split: str) -> Judged:
    """Return the judgements of a BEIR folder's split ("train", "test"), or of the qrels file that is given.

    A score above 0 is an answer, however high.

    Raises:
        DataError: no such split, no answer in it, a row that is none, or a query that is missing; names file and row.
    """
    given = Path(path)
    folder, file = (given, _qrels(given, split)) if given.expanduser().is_dir() else (_folder_of(given), given)
    answers: dict[str, list[str]] = {}
    for query, passage, score in _read_qrels(file):
        if score > 0 and passage not in answers.setdefault(query, []):
            answers[query].append(passage)
    answers = {query: passages for query, passages in answers.items() if passages}
    if not answers:
        raise DataError(f"{file} judges nothing to be right: no score is above 0. Check the file.")
    queries = {
        identity: check_text(record.get("text"), where)
        for where, identity, record in _records(folder, "queries")
        if identity in answers
    }
    missing = next((query for query in answers if query not in queries), None)
    if missing is not None:
        raise DataError(f"{file}: query {missing!r} is not in {_file(folder, 'queries')}. Fetch the folder anew.")
    return Judged(file, folder, queries, answers)


def texts_of(judged: Judged) -> tuple[dict[str, str], int]:
    """Return id -> text of the passages that answer, and the number of all. Raises DataError for a missing one."""
    wanted = {each for passages in judged.answers.values() for each in passages}
    found, number = {}, 0
    for number, (_, record) in enumerate(_passages(judged.folder), start=1):  # noqa: B007
        if record["chunk_id"] in wanted:
            found[record["chunk_id"]] = record["text"]
    missing = next((each for each in wanted if each not in found), None)
    if missing is not None:
        raise DataError(f"{_file(judged.folder, 'corpus')} has no passage {missing!r}, which {judged.file} names.")
    return found, number


def _folder_of(qrels: Path | str) -> Path:
    return absolute(qrels).parent.parent


def _qrels(folder: Path, split: str) -> Path:
    file = folder / "qrels" / f"{split}.tsv"
    if file.expanduser().is_file():
        return file
    there = sorted((folder / "qrels").expanduser().glob("*.tsv"))
    named = ", ".join(f"{folder}/qrels/{each.name}" for each in there) or "none"
    raise DataError(f"{folder} has no qrels/{split}.tsv. Give the judgements that are meant by name; there: {named}.")


def _read_qrels(file: Path) -> Iterator[tuple[str, str, float]]:
    with opened(file, newline="") as lines:
        for number, row in enumerate(csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)):
            if not number:
                if row != _COLUMNS:
                    raise DataError(f"{file}: the header is {row!r:.80}; BEIR's is {', '.join(_COLUMNS)}, with tabs.")
            elif row:
                try:
                    query, passage, score = row
                    yield query, passage, float(score)
                except ValueError:
                    raise DataError(f"{file}, row {number} is {row!r:.80}; expected {', '.join(_COLUMNS)}.") from None


def _file(folder: Path | str, name: str) -> Path:
    """Return the folder's file of that name, packed where it is."""
    plain = Path(folder) / f"{name}.jsonl"
    packed = Path(folder) / f"{name}.jsonl.gz"
    return packed if packed.expanduser().is_file() and not plain.expanduser().is_file() else plain


def _records(folder: Path | str, name: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield (place, id, record) of the corpus or the queries."""
    file = _file(folder, name)
    with opened(file) as lines:
        for number, record in json_lines(lines, file):
            where = f"{file}, line {number}"
            if not isinstance(record.get("_id"), (str, int)) or record["_id"] == "":
                raise DataError(f"{where}: no '_id'; the fields are {sorted(record)}. BEIR numbers all its records.")
            yield where, str(record["_id"]), record
