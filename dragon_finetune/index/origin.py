"""Which stored records came from which chunk files."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dragon_finetune.chunks import ChunkRef
from dragon_finetune.files import absolute
from dragon_finetune.reading.kinds import without_suffixes

CHUNK_FILE = "chunk_file"
"""Metadata of a record that we loaded: the chunk file, as an absolute path."""
_PIECE = re.compile(r"#\d+$")
# <stem>_<row>; the host puts the name of its pickle, and in its newer generation "chunk", before the row.
_ROW = re.compile(r"(?:\.embeddings)?_(?:chunk_)?\d+$")


class Origins:
    """Tells whether a record came from some chunk files: by what was noted when it was loaded, else by its id.

    Args:
        files: the chunk files.
        chunks: what is in them now.
    """

    def __init__(self, files: Iterable[Path | str], chunks: Iterable[ChunkRef]) -> None:
        files = list(files)
        paths = [absolute(file).resolve() for file in files]
        self._files = {str(path) for path in paths} | {str(file) for file in files}
        self._stems = {without_suffixes(path).name for path in paths}
        self._pages = {page for chunk in chunks if (page := _PIECE.sub("", chunk.id)) != chunk.id}

    def include(self, identity: str, metadata: Mapping[str, Any]) -> bool:
        """Return whether the record of this id and metadata came from one of the files."""
        noted = metadata.get(CHUNK_FILE)
        if noted is not None:
            return noted in self._files
        return _PIECE.sub("", identity) in self._pages or _ROW.sub("", identity) in self._stems
