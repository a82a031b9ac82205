"""Records of a file of any kind, each with its place."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dragon_finetune.errors import DataError
from dragon_finetune.files import json_lines
from dragon_finetune.json_text import parse
from dragon_finetune.reading.kinds import JSON, LINES, PARQUET, TABLES, kind_of
from dragon_finetune.reading.opening import opened
from dragon_finetune.reading.tables import read_csv, read_parquet

Placed = tuple[str, dict[str, Any]]
"""Where a record stands ("notes.csv, row 3"), and the record."""


def read_records(path: Path | str, lists: Sequence[str]) -> tuple[str, Iterator[Placed]]:
    """Return the kind of a file, and its records one at a time; those of a .json file are held together.

    Args:
        path: JSON lines, JSON, CSV, TSV or Parquet.
        lists: under which names a JSON object may hold its list of records.

    Raises:
        DataError: the file or a record can't be read, while it is being read; names file and line, row or item.
    """
    kind = kind_of(path)
    if kind == JSON:
        value = read_value(path)
        kind, records = (LINES, _lines(path)) if value is None else (JSON, items_of(value, path, lists))
        return kind, records
    return kind, _rows(path, kind) if kind in TABLES else _lines(path)


def read_value(path: Path | str) -> Any:
    """Return the value of a .json file; None if it holds JSON lines, as many do. Raises DataError for neither."""
    with opened(path) as file:
        text = file.read()
    lines = (line for line in text.splitlines() if line.strip())
    first, second = next(lines, ""), next(lines, None)
    if second is not None and first.lstrip().startswith("{") and first.rstrip().endswith("}") and _is_json(first):
        return None
    return parse(text, str(path))


def _is_json(line: str) -> bool:
    try:
        parse(line, "")
    except DataError:
        return False
    return True


def items_of(value: Any, path: Path | str, lists: Sequence[str]) -> Iterator[Placed]:
    """Yield the records of a JSON list, or of the one list that an object holds under one of the names.

    An object that holds none is one record. Raises DataError for several lists, and for an item that is no object.
    """
    if isinstance(value, Mapping):
        held = [name for name in lists if isinstance(value.get(name), list)]
        if len(held) > 1:
            raise DataError(f"{path} holds {' and '.join(map(repr, held))}. Leave the one list that is meant.")
        value = value[held[0]] if held else [value]
    if not isinstance(value, list):
        raise DataError(f"{path}: expected a list of objects, found {type(value).__name__}. Write [{{...}}, ...].")
    for number, item in enumerate(value, start=1):
        where = f"{path}, item {number}"
        if not isinstance(item, dict):
            raise DataError(f'{where}: expected a JSON object like {{"text": ...}}, found {type(item).__name__}.')
        yield where, item


def _lines(path: Path | str) -> Iterator[Placed]:
    with opened(path) as lines:
        yield from ((f"{path}, line {number}", record) for number, record in json_lines(lines, path))


def _rows(path: Path | str, kind: str) -> Iterator[Placed]:
    rows = read_parquet(path) if kind == PARQUET else read_csv(path)
    yield from ((f"{path}, row {number}", row) for number, row in rows)
