"""A file of texts chunked into a file of chunks."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dragon_finetune.errors import DataError
from dragon_finetune.files import require_other_file, write_jsonl
from dragon_finetune.progress import progress
from dragon_finetune.reading.kinds import require_lines
from dragon_finetune.reading.texts import read_texts
from dragon_finetune.tokens.chunking import TokenChunker


def chunk_file(
    source: Path | str, target: Path | str, chunker: TokenChunker, *, text_field: str | None = None
) -> tuple[int, int]:
    """Chunk a file of any kind, or a folder, into JSON lines, streaming; return how many records were read and how many
    chunks written. The pieces of a folder's files have their paths as `source` and in their ids.

    Raises:
        DataError: a record can't be read or has no text; names file and line, row or item. Or there is no record at
            all, source and target are one file, or the target has the name of another kind. It is left as it was.
    """
    require_other_file(source, target)
    require_lines(target)
    read = written = 0

    def records() -> Iterator[dict[str, Any]]:
        nonlocal read
        folder = Path(source).expanduser().is_dir()
        for read, (_, record) in enumerate(read_texts(source, text_field), start=1):  # noqa: B007
            yield {"chunk_id": record["source"], **record} if folder and "chunk_id" not in record else record
        if not read:
            raise DataError(f"{source} holds no records. Check the file.")

    def chunks() -> Iterator[dict[str, Any]]:
        nonlocal written
        for written, chunk in enumerate(chunker.chunk_records(records()), start=1):  # noqa: B007
            yield chunk

    write_jsonl(target, progress(chunks(), desc="chunk", unit="chunk"))
    return read, written
