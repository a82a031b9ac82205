"""Whether a store holds only the first text of each batch of its files: what the host's own embedder leaves."""

from collections.abc import Collection, Sequence

from dragon_finetune.index.chunk_files import ChunkFiles

_TELLING = 3  # stored texts of a file that can't be the first of each batch by chance
_TRIES = 16  # lengths to try: more than one only where texts come twice


class Batches:
    """The batches of which a collection holds the first text and no other.

    Args:
        files: the chunk files.
        stored: the collection's texts.

    Attributes:
        last_of: first text of a batch -> its last, whose vector the host stores with it.
        evidence: which file shows it; empty where none has enough batches to tell.
    """

    def __init__(self, files: ChunkFiles, stored: Collection[str]) -> None:
        self.last_of: dict[str, str] = {}
        self.evidence = ""
        for name, chunks in files.by_file.items():
            texts = [chunk.text for chunk in chunks]
            length = batch_length(texts, stored)
            if length is None:
                continue
            firsts = range(0, len(texts), length)
            self.last_of |= {texts[row]: texts[min(row + length, len(texts)) - 1] for row in firsts}
            if len(firsts) >= _TELLING and not self.evidence:
                self.evidence = f" Of {name} the first of every {length} chunks is stored, and no other."


def batch_length(texts: Sequence[str], stored: Collection[str]) -> int | None:
    """Return n if those of a file's texts that are stored are the first of each n; None if all or others are."""
    there = {text for text in texts if text in stored}
    if not there or texts[0] not in there or len(there) == len(set(texts)):
        return None
    lengths = [row for row, text in enumerate(texts) if row and text in there][:_TRIES]
    return next((length for length in [*lengths, len(texts)] if set(texts[::length]) == there), None)
