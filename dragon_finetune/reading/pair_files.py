"""Files and folders of pairs, in our form or that of another tool."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dragon_finetune.errors import DataError
from dragon_finetune.reading.beir import is_beir, is_qrels, read_judged, texts_of
from dragon_finetune.reading.json_forms import judged_pair, of_json
from dragon_finetune.reading.kinds import JSON, LINES, TABLES, TEXT, kind_of
from dragon_finetune.reading.pair_records import FORMS, form_of, pair_records
from dragon_finetune.reading.records import Placed, read_records, read_value
from dragon_finetune.reading.saying import say_once
from dragon_finetune.reading.texts import read_texts


@dataclass(frozen=True)
class Items:
    """What a file of pairs or chunks holds.

    Attributes:
        how: in which form, "SQuAD, 12 questions".
        records: as they stand in it; of forms that are no list of records, already one for each pair.
        plain: JSON lines, of which nothing need be said.
    """

    how: str
    records: Iterator[Placed]
    plain: bool = False


def read_pair_records(path: Path | str) -> Iterator[Placed]:
    """Yield (place, record) of each pair of a file or folder, and say on stderr how it was read.

    Raises:
        DataError: a form that nobody knows, or what can't be read; names file and line, row or item.
    """
    items = read_items(path)
    records = pairs = 0
    form = None
    for where, record in items.records:
        form = form_of(record) or form
        records += 1
        for pair in pair_records(record):
            pairs += 1
            yield where, pair
    if records and not (items.plain and form is None):
        shape = f" in the form of {form}" if form else ""
        say_once(path, f"{_counted(items, records)}{shape}: {pairs:,} pairs")


def read_any(path: Path | str) -> Iterator[Placed]:
    """Yield (place, record) of a file or folder that holds pairs or texts, whichever; raises as `read_pair_records`."""
    if Path(path).expanduser().is_dir() or kind_of(path) == TEXT:
        yield from read_texts(path)
        return
    items = read_items(path)
    number = 0
    for placed in items.records:
        number += 1
        yield placed
    if number and not items.plain:
        say_once(path, _counted(items, number))


def _counted(items: Items, records: int) -> str:
    unit = "rows" if items.how in TABLES else "records"
    return items.how if "," in items.how else f"{items.how}, {records:,} {unit}"


def read_items(path: Path | str) -> Items:
    """Return what a file or folder of pairs holds; chunks in it are returned as they are. Raises as above."""
    if Path(path).expanduser().is_dir():
        if not is_beir(path):
            raise DataError(f"{path} is a folder without corpus.jsonl and queries.jsonl. Pairs are known as: {FORMS}.")
        return _of_beir(path)
    if is_qrels(path):
        return _of_beir(path)
    kind = kind_of(path)
    if kind == TEXT:
        raise DataError(f"{path} is a text, which holds no pairs. They are known as: {FORMS}.")
    if kind == JSON and (value := read_value(path)) is not None:
        return Items(*of_json(value, path))
    kind, records = (LINES, read_records(path, ())[1]) if kind == JSON else read_records(path, ())
    return Items(kind, _without_gaps(records) if kind in TABLES else records, kind == LINES)


def _without_gaps(records: Iterator[Placed]) -> Iterator[Placed]:
    for where, record in records:
        # A text must be seen to be empty; anything else may be left out.
        kept = {name: value for name, value in record.items() if value is not None}
        yield where, {**kept, "text": ""} if "text" in record.keys() - kept.keys() else kept


def _of_beir(path: Path | str) -> Items:
    judged = read_judged(path, "train")
    if judged.file.stem == "test":
        warnings.warn(f"{judged.file} is for tests: what is trained on it proves nothing by it.", stacklevel=2)
    texts, passages = texts_of(judged)
    records = (
        (f"{judged.file}, query {query}", judged_pair(query, judged.queries[query], passage, texts[passage]))
        for query, answers in judged.answers.items()
        for passage in answers
    )
    counted = f"{len(judged.queries):,} queries, {passages:,} passages"
    return Items(f"BEIR, {counted}, {judged.file.parent.name}/{judged.file.name}", records)
