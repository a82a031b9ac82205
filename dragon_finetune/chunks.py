"""A chunk of a file: where it stands, its text, and an id."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dragon_finetune.files import read_jsonl
from dragon_finetune.text import check_text


@dataclass(frozen=True)
class ChunkRef:
    """One chunk of a file: where it stands, its text, its id and its metadata."""

    where: str
    id: str
    text: str
    metadata: dict[str, Any]

    @property
    def key(self) -> bytes:
        """BLAKE2b hash of the text, 16 bytes."""
        return hashlib.blake2b(self.text.encode(), digest_size=16).digest()


def read_chunks(files: Sequence[Path | str]) -> Iterator[ChunkRef]:
    """Yield the chunks of chunk files, in order. A chunk without `chunk_id` gets `<stem>_<row>` as the host does.

    Raises:
        DataError: bad JSON, or a chunk without text; names file and line.
    """
    for file in map(Path, files):
        for row, (line, record) in enumerate(read_jsonl(file)):
            where = f"{file}, line {line}"
            text = check_text(record.get("text"), where)
            metadata = {key: value for key, value in record.items() if key != "text"}
            yield ChunkRef(where, str(record.get("chunk_id") or f"{file.stem}_{row}"), text, metadata)
