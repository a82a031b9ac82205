"""Chunk files of this machine's disks, or behind addresses (`s3://bucket/chunks.jsonl`)."""

import gzip
import io
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from dragon_finetune.chunks import ChunkRef, chunks_of, labels, read_chunks
from dragon_finetune.errors import DataError
from dragon_finetune.files import json_lines, readable
from dragon_finetune.reading.kinds import LINES, PARQUET, is_packed, kind_of
from dragon_finetune.reading.records import Placed
from dragon_finetune.reading.tables import parquet_rows
from dragon_finetune.reading.texts import texts_of

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+://")  # of two letters at least: C: is a disk


def is_address(file: Path | str) -> bool:
    """Tell whether a file is named by an address."""
    return _ADDRESS.match(str(file)) is not None


def reader_of(files: Sequence[Path | str]) -> Callable[..., Iterator[ChunkRef]]:
    """Return what reads these files as `read_chunks` does: itself, or `read_addresses`.

    Raises:
        DataError: both kinds together.
    """
    there = [file for file in files if is_address(file)]
    if there and len(there) < len(files):
        here = next(file for file in files if not is_address(file))
        raise DataError(f"{there[0]} is an address and {here} is not. Give files of one kind.")
    return read_addresses if there else read_chunks


def read_addresses(
    files: Sequence[Path | str], *, unique: bool = True, text_field: str | None = None
) -> Iterator[ChunkRef]:
    """Yield the chunks of JSON lines and Parquet behind addresses, in order, with the ids that `read_chunks` gives.

    They are reached as Ray Data reaches them: by Arrow's file systems (file, s3, gs, hdfs, ...), else by fsspec's.

    Args:
        files: addresses of files, not of folders; JSON lines may be packed with gzip.
        unique: refuse an id that comes twice.
        text_field: the field that holds the text.

    Raises:
        DataError: what can't be reached or read, and as `read_chunks`; names address and line or row.
    """
    names = [str(file) for file in files]
    if unique and len({*names}) < len(names):
        raise DataError(f"{next(name for name in names if names.count(name) > 1)} is given twice. Give each file once.")
    texts = (texts_of(kind_of(name), _records(name), name, text_field) for name in names)
    yield from chunks_of(zip(names, labels([Path(name) for name in names]), texts, strict=True), unique=unique)


def _records(address: str) -> Iterator[Placed]:
    kind = kind_of(address)
    if kind not in (LINES, PARQUET):
        raise DataError(f"{address} is {kind}; behind an address JSON lines and Parquet are read. Convert it.")
    with readable(address), _opened(address) as file:
        if kind == PARQUET:
            yield from ((f"{address}, row {number}", row) for number, row in parquet_rows(file, address))
            return
        try:
            plain: Any = gzip.GzipFile(fileobj=file, mode="rb") if is_packed(address) else file
            lines = io.TextIOWrapper(plain, encoding="utf-8-sig")
            yield from ((f"{address}, line {number}", record) for number, record in json_lines(lines, address))
        except (EOFError, zlib.error) as error:
            raise DataError(f"{address} is damaged ({error}). Fetch or pack it again.") from None


def _opened(address: str) -> Any:
    import pyarrow as pa
    from pyarrow import fs

    try:
        system, path = fs.FileSystem.from_uri(address)
    except pa.ArrowInvalid:
        import fsspec

        system, path = fsspec.core.url_to_fs(address)
        system = fs.PyFileSystem(fs.FSSpecHandler(system))
    return system.open_input_file(path)
