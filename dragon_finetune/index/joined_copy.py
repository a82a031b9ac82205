"""A collection whose vectors have words in them, made from one of dense vectors: nothing is embedded again."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from dragon_finetune.embedding.embedder import FineTunedEmbedder
from dragon_finetune.errors import DataError, StaleIndexError
from dragon_finetune.index.asking import chroma_errors
from dragon_finetune.index.chroma import (
    Record,
    closed_after,
    collection_names,
    count,
    existing_client,
    read_records,
    read_texts,
    require_collection,
    stored_collection,
    upsert,
)
from dragon_finetune.index.chroma_function import embedding_function
from dragon_finetune.index.collection import open_collection, require_loadable, require_name
from dragon_finetune.index.doctor import examine
from dragon_finetune.index.space import space_of
from dragon_finetune.progress import progress

_AT_ONCE = 1000
# Findings that say nothing against the directions of vectors.
_HARMLESS = {"un-normalised", "missing", "surplus", "cut"}


def join_collection(
    embedder: FineTunedEmbedder, store: str | Path, name: str, new: str, *, checked: bool = False
) -> int:
    """Write the records of a collection into a new one, their vectors joined with their words; return how many.

    Ids, texts and metadata stay as they are, and so does the space; the collection that was is left alone. What was
    made when something fails is taken away again. Run again after a kill, it goes on.

    Args:
        embedder: of a folder with a lexicon, a level, or both.
        store: a Chroma folder, or a server's address.
        name: the collection of dense vectors.
        new: the collection to make.
        checked: `require_joinable` was asked already.

    Raises:
        DataError: the model joins nothing; no such store or collection; or records without a text.
        StaleIndexError: the dense vectors are not this model's, or `new` is another encoder's.
    """
    if embedder.joiner is None:
        raise DataError(f"{embedder.model_path} has no lexicon to join. Make one: `dragon-finetune lexicon`.")
    with closed_after(_client_of(store, name, new)) as client:
        require_loadable(str(store), new, embedder)
        if not checked:
            require_joinable(embedder, store, name, new)
        old = stored_collection(client, name)
        records = progress(read_records(old), desc="join", unit="record", total=count(old))
        with _target(client, old, new, embedder) as target:
            return upsert(client, target, _joined(embedder, iter(records)))


def require_joinable(embedder: FineTunedEmbedder, store: str | Path, name: str, new: str) -> None:
    """Raise what `join_collection` would of a store and the dense vectors of `embedder`; makes nothing.

    Raises:
        DataError: no such store or collection, records without a text, or Chroma takes no collection called `new`.
        StaleIndexError: the vectors are not those of the model without its words.
    """
    with closed_after(_client_of(store, name, new)) as client:
        for record in read_texts(stored_collection(client, name)):
            if not record.text.strip():
                raise DataError(f"collection {name}, record {record.id}: it has no text, so its words are not known.")
    _require_dense(embedder, store, name)


def _client_of(store: str | Path, name: str, new: str) -> Any:
    require_name(new)
    if new == name:
        raise DataError(f"the new collection has the name of the old one, {name!r}. Give another (--as).")
    client = existing_client(store)
    require_collection(name, collection_names(client, store), store)
    return client


@contextmanager
def _target(client: Any, old: Any, new: str, embedder: FineTunedEmbedder) -> Iterator[Any]:
    """Yield the collection to write into; one that was not there before is taken away if the block fails."""
    if new in collection_names(client, f"collection {new}"):
        yield open_collection(client, new, embedder)
        return
    with chroma_errors(f"collection {new}"):
        made = client.create_collection(
            new,
            metadata={key: value for key, value in (old.metadata or {}).items() if not key.startswith("hnsw:")} or None,
            embedding_function=embedding_function(embedder),
            configuration={"hnsw": {"space": space_of(old)}},
        )
    try:
        yield made
    except BaseException:
        with suppress(Exception):  # what failed first is what must be told
            client.delete_collection(new)
        raise


def _joined(embedder: FineTunedEmbedder, records: Iterator[Record]) -> Iterator[Record]:
    assert embedder.joiner is not None
    while group := list(islice(records, _AT_ONCE)):
        dense = np.stack([record.vector for record in group])
        dense /= np.maximum(np.linalg.norm(dense, axis=1, keepdims=True), 1e-12)
        vectors = embedder.joiner.join(dense, [record.text for record in group], "document")
        for record, vector in zip(group, vectors, strict=True):
            yield record._replace(vector=vector)


def _require_dense(embedder: FineTunedEmbedder, store: str | Path, name: str) -> None:
    """Raise StaleIndexError unless the vectors are those of the model without its words."""
    health = examine(embedder.like(dense_only=True), store, collections=[name])
    wrong = [finding for finding in health.collections[0].findings if finding.kind not in _HARMLESS]
    if wrong:
        raise StaleIndexError(
            f"collection {name!r} does not hold the dense vectors of {embedder.model_path}: {wrong[0].kind}. "
            f"{wrong[0].message}"
        )
