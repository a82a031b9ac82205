"""A Chroma store: its client, and records in and out by pages."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple
from urllib.parse import SplitResult, urlsplit

import chromadb
import numpy as np
from chromadb.config import Settings

from dragon_finetune.embedding.engine import Vectors
from dragon_finetune.errors import DataError
from dragon_finetune.files import absolute, is_address
from dragon_finetune.index.asking import TOO_LARGE, asked, chroma_errors, patiently, status_of

_PAGE = 500  # records per request: far below Chroma's own maximum, little enough to stream
_CHANGING = Lock()  # one thread that opens a store while another closes it makes Chroma raise KeyError


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


def open_client(store: str | Path) -> Any:
    """Return a client of a store on disk (a folder) or of a Chroma server (http://host:port, https://host/prefix).

    Without a port `http` means 8000, Chroma's own, and `https` 443. A server's token stands in the environment as
    CHROMA_CLIENT_AUTH_CREDENTIALS. `httpx` takes an authority of one's own from SSL_CERT_FILE.

    Raises:
        DataError: no server answers there or it refuses, the folder can't be written, or what lies there is no store.
    """
    settings = Settings(anonymized_telemetry=False)
    with _CHANGING, chroma_errors(store):
        if not is_address(store):
            return chromadb.PersistentClient(path=str(absolute(store)), settings=settings)
        if settings.chroma_client_auth_credentials and not settings.chroma_client_auth_provider:
            settings.chroma_client_auth_provider = "chromadb.auth.token_authn.TokenAuthClientProvider"
        url = _address(str(store))
        return chromadb.HttpClient(
            host=url.geturl(), port=url.port or 443, ssl=url.scheme == "https", settings=settings
        )


def _address(store: str) -> SplitResult:
    url = urlsplit(store)
    if url.username or url.query:
        raise DataError(
            "the address of a Chroma server holds no secret: lists of processes and messages would show it. Put the "
            "token into the environment as CHROMA_CLIENT_AUTH_CREDENTIALS."
        )
    if url.port is None and url.scheme == "http":
        url = url._replace(netloc=f"{url.netloc}:8000")
    return url._replace(path=url.path.rstrip("/"))


def existing_client(store: str | Path) -> Any:
    """Return a client of a store that must be there. Raises DataError if the folder holds none."""
    if not is_address(store) and not (absolute(store) / "chroma.sqlite3").is_file():
        raise DataError(f"{absolute(store)} holds no Chroma store (no chroma.sqlite3). Check --store.")
    return open_client(store)


@contextmanager
def closed_after(client: Any) -> Iterator[Any]:
    """Yield a client and close it at the end: the open files of a store keep Windows from deleting its folder."""
    try:
        yield client
    finally:
        if hasattr(client, "close"):  # not in Chroma before 1.5.2
            with _CHANGING:
                client.close()


def collection_names(client: Any, store: str | Path) -> list[str]:
    """Return the names of a store's collections, sorted. Raises DataError; names the store."""
    return asked(store, lambda: sorted(collection.name for collection in client.list_collections()))


def require_collection(name: str, present: Sequence[str], store: str | Path) -> None:
    """Raise DataError if a collection is none of those that are `present` in a store; names them."""
    if name not in present:
        raise DataError(f"{store} has no collection {name!r}; it has {', '.join(present) or 'none'}.")


def stored_collection(client: Any, name: str) -> Any:
    """Return a collection as it lies, bound to no encoder. Raises DataError."""
    return asked(f"collection {name}", lambda: client.get_collection(name, embedding_function=None))


def upsert(client: Any, collection: Any, records: Iterable[Record]) -> int:
    """Write records in pages, by their ids; return their number.

    Values of metadata that Chroma can't hold become JSON strings. A page that is written twice, for its answer was
    lost with the server, is there once.

    Args:
        client: of the store; knows how much it takes at once.
        collection: of that store.
        records: what to write.

    Raises:
        DataError: Chroma refuses a page, or its server stays away.
    """
    most = asked(f"collection {collection.name}", client.get_max_batch_size)
    rows, written = iter(records), 0
    while page := list(islice(rows, min(_PAGE, most) if most > 0 else _PAGE)):
        with chroma_errors(f"collection {collection.name}, records {page[0].id} to {page[-1].id}"):
            _upsert_page(collection, page)
        written += len(page)
    return written


def read_records(collection: Any, offsets: Sequence[int] | None = None) -> Iterator[Record]:
    """Yield the records at `offsets` (default: all), in pages."""
    starts = _starts(collection) if offsets is None else offsets
    for start in starts:
        got = _page(collection, start, _PAGE if offsets is None else 1, "embeddings", "documents", "metadatas")
        rows = zip(got["ids"], got["documents"], got["embeddings"], got["metadatas"], strict=True)
        for identity, text, vector, metadata in rows:
            yield Record(identity, text or "", np.asarray(vector, dtype=np.float32), metadata or {})


def read_texts(collection: Any) -> Iterator[StoredText]:
    """Yield all records without their vectors, in pages."""
    for start in _starts(collection):
        got = _page(collection, start, _PAGE, "documents", "metadatas")
        for identity, text, metadata in zip(got["ids"], got["documents"], got["metadatas"], strict=True):
            yield StoredText(identity, text or "", metadata or {})


def read_ids(collection: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield (id, metadata) of all records, in pages."""
    for start in _starts(collection):
        got = _page(collection, start, _PAGE, "metadatas")
        yield from ((identity, metadata or {}) for identity, metadata in zip(got["ids"], got["metadatas"], strict=True))


def count(collection: Any) -> int:
    """Return how many records a collection has. Raises DataError."""
    number: int = asked(f"collection {collection.name}", collection.count)
    return number


def remove(collection: Any, ids: Sequence[str]) -> None:
    """Take records out, in pages."""
    for start in range(0, len(ids), _PAGE):
        some = list(ids[start : start + _PAGE])
        asked(f"collection {collection.name}, taking {some[0]} to {some[-1]} out", partial(collection.delete, ids=some))


def _starts(collection: Any) -> range:
    return range(0, count(collection), _PAGE)


def _page(collection: Any, start: int, size: int, *parts: str) -> Any:
    what = f"collection {collection.name}, records from {start} on"
    return asked(what, partial(collection.get, limit=size, offset=start, include=list(parts)))


def _upsert_page(collection: Any, page: Sequence[Record]) -> None:
    if not _fits(collection, page):
        half = len(page) // 2
        _upsert_page(collection, page[:half])
        _upsert_page(collection, page[half:])


def _fits(collection: Any, page: Sequence[Record]) -> bool:
    """Write a page; return False if it has more bytes than the server, or a proxy before it, takes at once."""
    write = partial(
        collection.upsert,
        ids=[record.id for record in page],
        documents=[record.text for record in page],
        embeddings=[record.vector for record in page],
        metadatas=[_flat(record.metadata) or None for record in page],
    )
    try:
        patiently(write)
    except Exception as error:
        # How many bytes that is, nobody says before.
        if status_of(error) != TOO_LARGE or len(page) == 1:
            raise
        return False
    return True


def _flat(metadata: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: value if isinstance(value, (str, int, float, bool)) else json.dumps(value, ensure_ascii=False)
        for key, value in metadata.items()
        if value is not None
    }
