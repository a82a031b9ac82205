"""A file of texts chunked into a file of chunks."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dragon_finetune.errors import DataError
from dragon_finetune.files import read_jsonl, require_other_file, write_jsonl
from dragon_finetune.progress import progress
from dragon_finetune.text import check_text
from dragon_finetune.tokens.chunking import TokenChunker


def chunk_file(source: Path | str, target: Path | str, chunker: TokenChunker) -> tuple[int, int]:
    """Chunk a JSON-lines file into another, streaming; return the number of records read and of chunks written.

    Raises:
        DataError: a line is no JSON object or has no text; names file and line. Or there is no record at all, or source
            and target are one file. The target is left as it was.
    """
    require_other_file(source, target)
    read = written = 0

    def records() -> Iterator[dict[str, Any]]:
        nonlocal read
        for read, (line, record) in enumerate(read_jsonl(source), start=1):  # noqa: B007
            check_text(record.get("text"), f"{source}, line {line}")
            yield record
        if not read:
            raise DataError(f"{source} holds no records. Check the file.")

    def chunks() -> Iterator[dict[str, Any]]:
        nonlocal written
        for written, chunk in enumerate(chunker.chunk_records(records()), start=1):  # noqa: B007
            yield chunk

    write_jsonl(target, progress(chunks(), desc="chunk", unit="chunk"))
    return read, written
