"""Whether a store holds all of some chunk files, and nothing that is in them no more."""

from collections import Counter
from collections.abc import Mapping, Sequence

from dragon_finetune.chunks import ChunkRef
from dragon_finetune.index.chroma import StoredText
from dragon_finetune.index.chunk_files import ChunkFiles
from dragon_finetune.index.health import Finding, Health

# Of texts cut for the store all are the beginnings of chunks; of a text that was chunked otherwise the first piece is.
_MOST = 0.9


class Contents:
    """The texts of one collection, sorted by what the chunk files say of them.

    Attributes:
        texts: all of them.
        whole: text that was cut for the store -> the chunk's text of which it is the beginning.
        surplus: records that came from the files and whose texts are in them no more.
        elsewhere: number of records that came from other files.
    """

    def __init__(self, stored: Sequence[StoredText], files: ChunkFiles) -> None:
        self.texts = [record.text for record in stored]
        unknown = [record for record in stored if record.text not in files.texts]
        whole = {record.text: text for record in unknown if (text := files.beginning_with(record.text))}
        theirs = [
            record for record in unknown if record.text in whole or files.origins.include(record.id, record.metadata)
        ]
        cut = [record for record in theirs if record.text in whole]
        self.whole: Mapping[str, str] = whole if len(cut) >= _MOST * len(theirs) else {}
        self.surplus = [
            record
            for record in theirs
            if record.text not in self.whole and files.origins.include(record.id, record.metadata)
        ]
        self.elsewhere = len(unknown) - len(self.surplus) - sum(record.text in self.whole for record in unknown)


def find_uncovered(contents: Sequence[Contents], health: Health, files: ChunkFiles) -> None:
    """Add to the health of a store and its collections what they hold too little or too much of the files."""
    for one, held in zip(health.collections, contents, strict=True):
        if held.whole:
            one.findings.append(_cut(held))
    _find_missing(contents, health, files)
    for one, held in zip(health.collections, contents, strict=True):
        if held.surplus:
            one.findings.append(_surplus(held.surplus))
        if held.elsewhere:
            one.notes.append(f"{held.elsewhere:,} records came from other files than these, by their ids and texts.")


def _find_missing(contents: Sequence[Contents], health: Health, files: ChunkFiles) -> None:
    stored = Counter(held.whole.get(text, text) for held in contents for text in held.texts)
    missing = _missing_by_file(stored, files)
    partly: list[ChunkRef] = []
    total = 0
    for file, chunks in files.by_file.items():
        if len(missing[file]) == len(chunks):
            message = (
                f"none of {file} is in the index ({len(chunks):,} chunks). If it was meant to be, embed and index it, "
                "and look for an error that was passed over; if not, leave it out of --chunks."
            )
            health.findings.append(Finding("unindexed", message))
        else:
            partly += missing[file]
            total += len(chunks)
    if partly:
        message = (
            f"{len(partly):,} of {total:,} chunks are in no collection; the first is {partly[0].where}. "
            "Embed and index again, and look for an error that was passed over."
        )
        for one in health.collections:
            one.findings.append(Finding("missing", message))


def _missing_by_file(stored: Counter[str], files: ChunkFiles) -> dict[str, list[ChunkRef]]:
    """Return each file's chunks that are not stored; a text of several files is first that of the one most there."""
    share = {
        file: sum(chunk.text in stored for chunk in chunks) / len(chunks) for file, chunks in files.by_file.items()
    }
    missing: dict[str, list[ChunkRef]] = {file: [] for file in files.by_file}
    left = stored.copy()
    for file in sorted(files.by_file, key=lambda file: -share[file]):
        for chunk in files.by_file[file]:
            if left[chunk.text] > 0:
                left[chunk.text] -= 1
            else:
                missing[file].append(chunk)
    return missing


def _cut(held: Contents) -> Finding:
    cut = [text for text in held.texts if text in held.whole]
    return Finding(
        "cut",
        f"{len(cut):,} records hold only the beginning of their chunks' texts; the first holds {len(cut[0]):,} of "
        f"{len(held.whole[cut[0]]):,} characters ({cut[0][:50]!r}). What follows is never shown: index whole texts.",
    )


def _surplus(records: Sequence[StoredText]) -> Finding:
    return Finding(
        "surplus",
        f"{len(records):,} records are in the chunk files no more, and are still found; the first is "
        f"{records[0].id} ({records[0].text[:50]!r}). Load the files with `embed --replace`, or index again "
        "into an empty store.",
    )
