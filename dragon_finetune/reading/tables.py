"""Rows of CSV and Parquet files, one at a time; a cell without a value is None."""

import csv
import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from dragon_finetune.errors import DataError
from dragon_finetune.files import readable
from dragon_finetune.reading.kinds import TSV, is_packed, kind_of
from dragon_finetune.reading.opening import opened

_LONGEST_CELL = 2**31 - 1  # characters; csv's own limit is less than a chapter
_ROWS_AT_ONCE = 256
_BYTES_AT_ONCE = 1 << 16


def read_csv(path: Path | str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (row number from 1 after the header, row) of a CSV or TSV file with a header.

    Commas, semicolons or tabs part the cells, whichever gives the header most; columns without a name (pandas' row
    numbers) are left out.

    Raises:
        DataError: no header or a name twice in it, a row with other cells than the header, or quotes that don't close.
    """
    with opened(path, utf_16=True, newline="") as file:
        csv.field_size_limit(_LONGEST_CELL)
        number = -1  # of the header, which is then 0
        try:
            rows = _rows(file, path)
            names: list[str] = []
            for number, cells in enumerate(row for row in rows if row):
                if not number:
                    names = _header(cells, path)
                elif len(cells) != len(names):
                    raise DataError(
                        f"{path}, row {number} has {len(cells)} cells and the header {len(names)}. Put quotes around "
                        "cells that hold the separator."
                    )
                else:
                    yield number, {name: cell or None for name, cell in zip(names, cells, strict=True) if name}
        except csv.Error as error:
            raise DataError(f"{path}, row {number + 1}: {error}. Mend its quotes.") from None


def _rows(file: IO[str], path: Path | str) -> Iterator[list[str]]:
    if kind_of(path) == TSV:
        return csv.reader(file, delimiter="\t", strict=True)
    header = file.readline()
    separator = max(",;\t", key=lambda each: len(next(csv.reader([header], delimiter=each), [])))
    return csv.reader(_again(header, file), delimiter=separator, strict=True)


def _again(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest


def _header(cells: list[str], path: Path | str) -> list[str]:
    names = [cell.strip() for cell in cells]
    named = [name for name in names if name]
    twice = next((name for name in named if named.count(name) > 1), None)
    if twice or not named:
        wrong = f"names the column {twice!r} twice" if twice else "is empty"
        raise DataError(f"{path}: the header {wrong}. The first row must name each column.")
    return names


def read_parquet(path: Path | str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (row number from 1, row) of a Parquet file; memory holds pages of a row group.

    Raises:
        DataError: it can't be read, or is damaged; names the file.
    """
    path = Path(path).expanduser()
    if is_packed(path):
        raise DataError(f"{path}: Parquet is packed in itself. Unpack the .gz and give the .parquet file.")
    with readable(path), path.open("rb") as file:
        yield from parquet_rows(file, path)


def parquet_rows(file: Any, path: Path | str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield what `read_parquet` does, of a file that is open; `path` is for error messages."""
    import pyarrow
    import pyarrow.parquet

    number = 0
    try:
        rows = pyarrow.parquet.ParquetFile(file, buffer_size=_BYTES_AT_ONCE, pre_buffer=False)
        for batch in rows.iter_batches(batch_size=_ROWS_AT_ONCE, use_threads=False):
            for row in batch.to_pylist():
                number += 1
                yield number, {name: _plain(value) for name, value in row.items()}
    except (pyarrow.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno:  # the system's own word, which names the file better
            raise
        said = str(error).splitlines()[0]
        raise DataError(f"{path} is damaged, or no Parquet ({said:.200}). Make or fetch it again.") from None


def _plain(value: Any) -> Any:
    """Return a value as JSON has it: dates in ISO's form, what else JSON lacks as text."""
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {str(name): _plain(each) for name, each in value.items()}
    return value.isoformat() if isinstance(value, (datetime.date, datetime.time)) else str(value)
