"""A collection bound to its encoder, or refused when another encoder made it."""

import os
import re
from pathlib import Path
from typing import Any

from dragon_finetune.embedding.embedder import FineTunedEmbedder
from dragon_finetune.errors import DataError, StaleIndexError
from dragon_finetune.files import absolute, is_address
from dragon_finetune.index.asking import asked
from dragon_finetune.index.chroma import closed_after, collection_names, count, open_client, stored_collection
from dragon_finetune.index.chroma_function import embedding_function, stale

# Chroma's own rule, in its own words.
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{1,510}[a-zA-Z0-9]")


def require_loadable(store: str, name: str, embedder: FineTunedEmbedder) -> None:
    """Raise what `open_collection` would, before hours are spent on what it is to hold; makes nothing.

    Raises:
        DataError: no server answers, or Chroma takes no collection of that name.
        StaleIndexError: the collection was made by another encoder, or by nobody knows which.
    """
    require_name(name)
    if not is_address(store) and not (absolute(store) / "chroma.sqlite3").is_file():
        _require_writable(absolute(store))
        return
    with closed_after(open_client(store)) as client:
        if name in collection_names(client, store):
            _require_same(stored_collection(client, name), name, embedder)


def require_name(name: str) -> None:
    """Raise DataError if Chroma takes no collection of that name."""
    if not _NAME.fullmatch(name):
        raise DataError(
            f"Chroma takes no collection called {name!r}: 3 to 512 characters of a-z, A-Z, 0-9, '.', '_' and '-', the "
            "first and last a letter or digit."
        )


def _require_writable(folder: Path) -> None:
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise DataError(f"{folder} can't be written: {there} is no folder that one may write into. Check --store.")


def open_collection(client: Any, name: str, embedder: FineTunedEmbedder) -> Any:
    """Return a collection bound to `embedder`, made if it is new: cosine space, fingerprint in its config.

    Raises:
        StaleIndexError: the collection was made by another encoder, or by nobody knows which.
    """
    return asked(f"collection {name}", lambda: _opened(client, name, embedder))


def _opened(client: Any, name: str, embedder: FineTunedEmbedder) -> Any:
    if name not in {collection.name for collection in client.list_collections()}:
        return client.create_collection(name, embedding_function=embedding_function(embedder))
    _require_same(client.get_collection(name, embedding_function=None), name, embedder)
    return client.get_collection(name, embedding_function=embedding_function(embedder))


def _require_same(stored: Any, name: str, embedder: FineTunedEmbedder) -> None:
    known = stored_fingerprint(stored)
    records = count(stored)
    if known is None and records:
        raise StaleIndexError(
            f"Collection {name!r} does not say which encoder made its {records} vectors. Look with "
            f"`dragon-finetune doctor --model {embedder.model_path}`, or embed into a new collection."
        )
    if known is not None and not embedder.recognises(known):
        raise StaleIndexError(stale(f"collection {name!r}", str(known), embedder))


def stored_fingerprint(collection: Any) -> str | None:
    """Return the fingerprint of the encoder that made a collection, as far as its config says."""
    return stored_config(collection).get("fingerprint")


def stored_config(collection: Any) -> dict[str, Any]:
    """Return what a collection keeps of the encoder that made it (`FineTunedEmbeddingFunction.get_config`), or {}."""
    function = (collection.configuration_json or {}).get("embedding_function") or {}
    return (function.get("config") or {}) if function.get("name") == "dragon_finetune" else {}
