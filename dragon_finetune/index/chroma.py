"""A Chroma store: its client, and records in and out by pages."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import chromadb
import httpx
import numpy as np
from chromadb.config import Settings
from chromadb.errors import ChromaError

from dragon_finetune.embedding.engine import Vectors
from dragon_finetune.errors import DataError
from dragon_finetune.files import absolute

_PAGE = 500  # records per request: far below Chroma's own maximum, little enough to stream


class Record(NamedTuple):
    """One record of a collection, as it goes in or comes out."""

    id: str
    text: str
    vector: Vectors
    metadata: Mapping[str, Any]


class StoredText(NamedTuple):
    """One record of a collection without its vector."""

    id: str
    text: str
    metadata: Mapping[str, Any]


def is_server(store: str | Path) -> bool:
    """Tell whether a store is named by a server's address rather than by a folder."""
    return str(store).startswith(("http://", "https://"))


@contextmanager
def chroma_errors(what: str | Path) -> Iterator[None]:
    """Let whatever Chroma, its server or its database raise in the block be a DataError that names `what`."""
    try:
        yield
    except (ChromaError, httpx.HTTPError, ValueError, OSError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(
            f"{what}: Chroma says: {reason:.300}. Mend that and run the same command again; what is written already "
            "does no harm."
        ) from error


def open_client(store: str | Path) -> Any:
    """Return a client of a store on disk (a folder) or of a Chroma server (http://host:port).

    Raises:
        DataError: no server answers there, the folder can't be written, or what lies there is no store.
    """
    settings = Settings(anonymized_telemetry=False)
    with chroma_errors(store):
        if not is_server(store):
            return chromadb.PersistentClient(path=str(absolute(store)), settings=settings)
        url = urlsplit(str(store))
        return chromadb.HttpClient(
            host=url.hostname or "localhost", port=url.port or 8000, ssl=url.scheme == "https", settings=settings
        )


def existing_client(store: str | Path) -> Any:
    """Return a client of a store that must be there. Raises DataError if the folder holds none."""
    if not is_server(store) and not (absolute(store) / "chroma.sqlite3").is_file():
        raise DataError(f"{absolute(store)} holds no Chroma store (no chroma.sqlite3). Check --store.")
    return open_client(store)


def upsert(collection: Any, records: Iterable[Record]) -> int:
    """Write records in pages; return their number. Values of metadata that Chroma can't hold become JSON strings."""
    written = 0
    page: list[Record] = []
    for record in records:
        page.append(record)
        if len(page) == _PAGE:
            written += _upsert_page(collection, page)
            page = []
    return written + (_upsert_page(collection, page) if page else 0)


def read_records(collection: Any, offsets: Sequence[int] | None = None) -> Iterator[Record]:
    """Yield the records at `offsets` (default: all), in pages."""
    if offsets is None:
        pages = [(start, _PAGE) for start in range(0, collection.count(), _PAGE)]
    else:
        pages = [(offset, 1) for offset in offsets]
    for start, size in pages:
        got = _page(collection, start, size, "embeddings", "documents", "metadatas")
        rows = zip(got["ids"], got["documents"], got["embeddings"], got["metadatas"], strict=True)
        for identity, text, vector, metadata in rows:
            yield Record(identity, text or "", np.asarray(vector, dtype=np.float32), metadata or {})


def read_texts(collection: Any) -> Iterator[StoredText]:
    """Yield all records without their vectors, in pages."""
    for start in range(0, collection.count(), _PAGE):
        got = _page(collection, start, _PAGE, "documents", "metadatas")
        for identity, text, metadata in zip(got["ids"], got["documents"], got["metadatas"], strict=True):
            yield StoredText(identity, text or "", metadata or {})


def read_ids(collection: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield (id, metadata) of all records, in pages."""
    for start in range(0, collection.count(), _PAGE):
        got = _page(collection, start, _PAGE, "metadatas")
        yield from ((identity, metadata or {}) for identity, metadata in zip(got["ids"], got["metadatas"], strict=True))


def remove(collection: Any, ids: Sequence[str]) -> None:
    """Take records out, in pages."""
    for start in range(0, len(ids), _PAGE):
        collection.delete(ids=list(ids[start : start + _PAGE]))


def _page(collection: Any, start: int, size: int, *parts: str) -> Any:
    with chroma_errors(f"collection {collection.name}, records from {start} on"):
        return collection.get(limit=size, offset=start, include=list(parts))


def _upsert_page(collection: Any, page: Sequence[Record]) -> int:
    with chroma_errors(f"collection {collection.name}, records {page[0].id} to {page[-1].id}"):
        collection.upsert(
            ids=[record.id for record in page],
            documents=[record.text for record in page],
            embeddings=[record.vector for record in page],
            metadatas=[_flat(record.metadata) or None for record in page],
        )
    return len(page)


def _flat(metadata: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: value if isinstance(value, (str, int, float, bool)) else json.dumps(value, ensure_ascii=False)
        for key, value in metadata.items()
        if value is not None
    }
