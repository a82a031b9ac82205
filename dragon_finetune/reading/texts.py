"""Texts with their metadata, from a file of any kind or a folder."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from dragon_finetune.reading.beir import is_beir, read_passages
from dragon_finetune.reading.fields import TEXT, text_field_of
from dragon_finetune.reading.folders import read_folder, read_one_text
from dragon_finetune.reading.kinds import LINES, TABLES, kind_of
from dragon_finetune.reading.kinds import TEXT as ONE_TEXT
from dragon_finetune.reading.records import Placed, read_records
from dragon_finetune.reading.saying import say_once
from dragon_finetune.text import check_text

_LISTS = ("chunks", "documents")


def read_texts(path: Path | str, text_field: str | None = None) -> Iterator[Placed]:
    """Yield (place, record) with the text under `text` and the metadata beside it, one at a time.

    How it was read is said on stderr, once, unless it is JSON lines with `text`.

    Args:
        path: a file of records, a .txt or .md file (one text), a folder of these, or a BEIR folder (its corpus).
        text_field: the field that holds the text; default: see `text_field_of`.

    Raises:
        DataError: it can't be read, or a record has no text; names file and line, row or item.
    """
    place = Path(path).expanduser()
    if place.is_dir():
        yield from read_passages(path) if is_beir(path) else read_folder(path)
    elif kind_of(path) == ONE_TEXT:
        yield from read_one_text(path)
    else:
        yield from texts_of(*read_records(path, _LISTS), path, text_field)


def texts_of(kind: str, records: Iterable[Placed], path: Path | str, asked: str | None) -> Iterator[Placed]:
    """Yield what `read_texts` does, of the records of a file of a kind; `path` is what it is called."""
    number, field = 0, asked or TEXT
    for number, (where, record) in enumerate(records, start=1):
        # The first record tells; one that then lacks the field is named.
        field = text_field_of(record, where, asked if number == 1 else field)
        if kind in TABLES:
            record = {name: value for name, value in record.items() if value is not None} | {field: record[field] or ""}
        yield where, _as_text(record, field, where)
    if number and (kind != LINES or field != TEXT):
        unit = "rows" if kind in TABLES else "records"
        say_once(path, f"{kind}, {number:,} {unit}, text in {field!r}")


def _as_text(record: dict[str, Any], field: str, where: str) -> dict[str, Any]:
    text = check_text(record[field], where)
    if field == TEXT:
        return record
    rest = {name: value for name, value in record.items() if name != field}
    # LangChain's form: what is known of a document stands one level down.
    if field == "page_content" and isinstance(rest.get("metadata"), dict):
        rest = {**rest.pop("metadata"), **rest}
    return {**rest, TEXT: text}
