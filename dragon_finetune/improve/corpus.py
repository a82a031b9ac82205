"""One's own texts as one file of chunks, however they lay."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dragon_finetune.chunks import each_once, no_chunks, read_chunks
from dragon_finetune.files import absolute, write_jsonl
from dragon_finetune.improve.request import Request
from dragon_finetune.reading.beir import is_beir
from dragon_finetune.reading.kinds import TEXT, kind_of
from dragon_finetune.tokens.chunking import TokenChunker


def write_corpus(request: Request, target: Path) -> None:
    """Write the chunks of a request as JSON lines; text files and folders of them are cut at the base's limit.

    Raises:
        DataError: what can't be read, an id that comes twice, or no text at all; names file and line, row or item.
    """
    files = each_once(request.chunks)
    chunks = read_chunks(files, text_field=request.text_field)
    written = itertools.count()

    def records() -> Iterator[dict[str, Any]]:
        uncut = {str(absolute(file).resolve()) for file in files if _is_uncut(absolute(file))}
        chunker = TokenChunker(request.base_model) if uncut else None
        for chunk in chunks:
            record = {**chunk.metadata, "chunk_id": chunk.id, "text": chunk.text}
            pieces = chunker.chunk_records([record]) if chunker and chunk.file in uncut else [record]
            for piece in pieces:
                next(written)
                yield piece

    write_jsonl(target, records())
    if not next(written):
        raise no_chunks(request.chunks)


def _is_uncut(path: Path) -> bool:
    """Tell whether a file, or each file of a folder, is one text that nobody has cut."""
    return not is_beir(path) if path.is_dir() else kind_of(path) == TEXT
