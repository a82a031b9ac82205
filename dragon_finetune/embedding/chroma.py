"""Chroma collections that know which encoder made them."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import chromadb
import numpy as np
from chromadb.api.types import Documents, EmbeddingFunction, Embeddings, Space
from chromadb.config import Settings
from chromadb.utils.embedding_functions import register_embedding_function

from dragon_finetune.embedding.embedder import FineTunedEmbedder
from dragon_finetune.embedding.engines import Vectors
from dragon_finetune.errors import DataError, StaleIndexError

_PAGE = 500  # records per request: far below Chroma's own maximum, little enough to stream


@register_embedding_function
class FineTunedEmbeddingFunction(EmbeddingFunction[Documents]):
    """Lets a Chroma collection embed its documents and queries, and keep the encoder's fingerprint in its config.

    A process that opens such a collection by `client.get_collection(name)` and asks it `query_texts` must have imported
    this module, or Chroma does not know the function's name.

    Args:
        model_path: a folder, a hub name, or "embedded".
        fingerprint: what the collection was made with, if it is opened again.
        options: further arguments of FineTunedEmbedder, JSON-safe.

    Raises:
        StaleIndexError: `fingerprint` is given and the model's is another.
    """

    def __init__(self, model_path: str, fingerprint: str | None = None, **options: Any) -> None:
        self._options = options
        self._embedder = FineTunedEmbedder(model_path, **options)
        if fingerprint not in (None, self._embedder.fingerprint):
            raise StaleIndexError(_stale("the collection", str(fingerprint), self._embedder))

    def __call__(self, input: Documents) -> Embeddings:
        """Return the vectors of documents."""
        return list(self._embedder.encode(list(input), role="document"))

    def embed_query(self, input: Documents) -> Embeddings:
        """Return the vectors of queries, with the model's query prompt."""
        return list(self._embedder.encode(list(input), role="query"))

    @staticmethod
    def name() -> str:
        """Return the name under which Chroma stores the function."""
        return "dragon_finetune"

    def default_space(self) -> Space:
        """Return "cosine"."""
        return "cosine"

    def get_config(self) -> dict[str, Any]:
        """Return what `build_from_config` needs, the fingerprint among it."""
        return {
            "model_path": self._embedder.model_path,
            "fingerprint": self._embedder.fingerprint,
            "options": self._options,
        }

    @staticmethod
    def build_from_config(config: dict[str, Any]) -> "FineTunedEmbeddingFunction":
        """Return the function of a stored collection; raises StaleIndexError if its model has changed since."""
        return FineTunedEmbeddingFunction(config["model_path"], config.get("fingerprint"), **config.get("options", {}))


class Record(NamedTuple):
    """One record of a collection, as it goes in or comes out."""

    id: str
    text: str
    vector: Vectors
    metadata: Mapping[str, Any]


def open_client(store: str | Path) -> Any:
    """Return a client of a store on disk (a folder) or of a Chroma server (http://host:port).

    Raises:
        DataError: there is no store in the folder.
    """
    settings = Settings(anonymized_telemetry=False)
    if str(store).startswith(("http://", "https://")):
        url = urlsplit(str(store))
        return chromadb.HttpClient(
            host=url.hostname or "localhost", port=url.port or 8000, ssl=url.scheme == "https", settings=settings
        )
    return chromadb.PersistentClient(path=str(store), settings=settings)


def existing_client(store: str | Path) -> Any:
    """Return a client of a store that must be there. Raises DataError if the folder holds none."""
    if not str(store).startswith("http") and not (Path(store) / "chroma.sqlite3").is_file():
        raise DataError(f"{Path(store).absolute()} holds no Chroma store (no chroma.sqlite3). Check --store.")
    return open_client(store)


def open_collection(client: Any, name: str, embedder: FineTunedEmbedder) -> Any:
    """Return a collection bound to `embedder`, made if it is new: cosine space, fingerprint in its config.

    Raises:
        StaleIndexError: the collection was made by another encoder, or by nobody knows which.
    """
    present = {collection.name for collection in client.list_collections()}
    if name not in present:
        return client.create_collection(name, embedding_function=embedding_function(embedder))
    stored = client.get_collection(name, embedding_function=None)
    known = _stored_fingerprint(stored)
    if known is None and stored.count():
        raise StaleIndexError(
            f"Collection {name!r} does not say which encoder made its {stored.count()} vectors. Look with "
            f"`dragon-finetune doctor --model {embedder.model_path}`, or embed into a new collection."
        )
    if known not in (None, embedder.fingerprint):
        raise StaleIndexError(_stale(f"collection {name!r}", str(known), embedder))
    return client.get_collection(name, embedding_function=embedding_function(embedder))


def embedding_function(embedder: FineTunedEmbedder) -> FineTunedEmbeddingFunction:
    """Return the Chroma function of an embedder, with the same vectors."""
    return FineTunedEmbeddingFunction(embedder.model_path, embedder.fingerprint, **embedder.options)


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
        got = collection.get(limit=size, offset=start, include=["embeddings", "documents", "metadatas"])
        rows = zip(got["ids"], got["documents"], got["embeddings"], got["metadatas"], strict=True)
        for identity, text, vector, metadata in rows:
            yield Record(identity, text or "", np.asarray(vector, dtype=np.float32), metadata or {})


def _upsert_page(collection: Any, page: Sequence[Record]) -> int:
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


def _stored_fingerprint(collection: Any) -> str | None:
    function = (collection.configuration_json or {}).get("embedding_function") or {}
    return (function.get("config") or {}).get("fingerprint") if function.get("name") == "dragon_finetune" else None


def _stale(what: str, known: str, embedder: FineTunedEmbedder) -> str:
    return (
        f"{what} was made by another encoder (fingerprint {known[:8]}) than {embedder.model_path} "
        f"({embedder.fingerprint[:8]}): its answers would be noise. Embed it again, or open it with the model that "
        "made it."
    )
