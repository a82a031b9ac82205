"""The chunks of some files, as what a store holds is compared with them."""

from bisect import bisect_right
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from dragon_finetune.chunks import ChunkRef, read_chunks
from dragon_finetune.files import absolute
from dragon_finetune.index.origin import Origins


class ChunkFiles:
    """Chunk files, read once.

    Args:
        files: chunks, in any kind of file that `read_chunks` takes; one that is given twice counts once.
        text_field: the field that holds the text.

    Attributes:
        by_file: file as it was given -> its chunks, in order.
        texts: all texts.
        origins: which records came from the files.

    Raises:
        DataError: as `chunks.read_chunks`.
    """

    def __init__(self, files: Sequence[Path | str], text_field: str | None = None) -> None:
        given = {str(absolute(file).resolve()): file for file in files}
        chunks = list(read_chunks(list(given.values()), unique=False, text_field=text_field))
        self.by_file: dict[str, list[ChunkRef]] = {str(file): [] for file in given.values()}
        for chunk in chunks:
            self.by_file[str(given[chunk.file])].append(chunk)
        self.texts = {chunk.text for chunk in chunks}
        self.origins = Origins(given.values(), chunks)

    @cached_property
    def _sorted(self) -> list[str]:
        return sorted(self.texts)

    def beginning_with(self, text: str) -> str | None:
        """Return a chunk's text of which `text` is the beginning and not the whole; None if there is none."""
        place = bisect_right(self._sorted, text)
        following = self._sorted[place] if text and place < len(self._sorted) else ""
        return following if following.startswith(text) and text else None
