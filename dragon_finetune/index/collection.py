"""A collection bound to its encoder, or refused when another encoder made it."""

from typing import Any

from dragon_finetune.embedding.embedder import FineTunedEmbedder
from dragon_finetune.errors import StaleIndexError
from dragon_finetune.index.chroma_function import embedding_function, stale


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
    if known is not None and not embedder.recognises(known):
        raise StaleIndexError(stale(f"collection {name!r}", str(known), embedder))
    return client.get_collection(name, embedding_function=embedding_function(embedder))


def _stored_fingerprint(collection: Any) -> str | None:
    function = (collection.configuration_json or {}).get("embedding_function") or {}
    return (function.get("config") or {}).get("fingerprint") if function.get("name") == "dragon_finetune" else None
