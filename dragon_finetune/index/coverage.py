"""Whether a store holds all of some chunk files, and nothing that is in them no more."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dragon_finetune.chunks import ChunkRef, read_chunks
from dragon_finetune.index.chroma import Record, read_records
from dragon_finetune.index.health import CollectionHealth, Finding
from dragon_finetune.index.origin import Origins


def find_missing(opened: Sequence[Any], health: Sequence[CollectionHealth], files: Sequence[Path | str]) -> None:
    """Add to the health of all collections how many chunks of the files are in none of them."""
    stored = Counter(record.text for collection in opened for record in read_records(collection))
    missing: list[ChunkRef] = []
    total = 0
    for total, chunk in enumerate(read_chunks(files, unique=False), start=1):  # noqa: B007
        if stored[chunk.text]:
            stored[chunk.text] -= 1
        else:
            missing.append(chunk)
    if missing:
        message = (
            f"{len(missing):,} of {total:,} chunks are in no collection; the first is {missing[0].where}. "
            "Embed and index again, and look for an error that was passed over."
        )
        for one in health:
            one.findings.append(Finding("missing", message))


def find_surplus(opened: Sequence[Any], health: Sequence[CollectionHealth], files: Sequence[Path | str]) -> None:
    """Add to each collection's health the records that came from the files and whose texts are in them no more."""
    chunks = list(read_chunks(files, unique=False))
    texts = {chunk.text for chunk in chunks}
    origins = Origins(files, chunks)
    for collection, one in zip(opened, health, strict=True):
        surplus: list[Record] = [
            record
            for record in read_records(collection)
            if record.text not in texts and origins.include(record.id, record.metadata)
        ]
        if surplus:
            message = (
                f"{len(surplus):,} records are in the chunk files no more, and are still found; the first is "
                f"{surplus[0].id} ({surplus[0].text[:50]!r}). Load the files with `embed --replace`, or index again "
                "into an empty store."
            )
            one.findings.append(Finding("surplus", message))
