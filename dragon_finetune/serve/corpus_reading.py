"""Where the page's corpus comes from: chunk files, or a Chroma collection and, where they are theirs, its vectors."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dragon_finetune.chunks import ChunkRef, each_once, no_chunks, read_chunks
from dragon_finetune.embedding.embedder import FineTunedEmbedder
from dragon_finetune.embedding.unit import unit
from dragon_finetune.errors import DataError
from dragon_finetune.index.kept import kept_vectors
from dragon_finetune.serve.corpus import Column, Corpus

if TYPE_CHECKING:
    from dragon_finetune.index.chroma import Record

_SAMPLE = 64
_NAMED = 3


def corpus_of_files(models: Mapping[str, FineTunedEmbedder], files: Sequence[Path | str]) -> Corpus:
    """Return the corpus of chunk files; vectors are taken from the user's cache as far as it has them.

    Args:
        models: by name.
        files: JSON lines of chunks.

    Raises:
        DataError: a bad line, or no chunk in any file; before anything is embedded.
        TokenLimitError: a text over a model's limit, and the embedder's on_overflow is "error".
    """
    files = each_once(files)
    chunks = list(read_chunks(files, unique=False))
    if not chunks:
        raise no_chunks(files)
    names = ", ".join(Path(file).name for file in files[:_NAMED])
    name = f"{names} and {len(files) - _NAMED} more" if len(files) > _NAMED else names
    return Corpus(name, chunks, {each: Column(kept_vectors(chunks, by)) for each, by in models.items()})


def corpus_of_collection(models: Mapping[str, FineTunedEmbedder], store: str, name: str) -> Corpus:
    """Return the corpus of a Chroma collection.

    A model whose vectors the collection holds is searched by these. For any other the texts are embedded, and the
    column says so; if they are nobody's, that is also warned about.

    Args:
        models: by name.
        store: a Chroma folder, or a server's address.
        name: the collection's.

    Raises:
        DataError: no store there, no collection of that name, or no texts in it.
        TokenLimitError: as `corpus_of_files`.
    """
    from dragon_finetune.index.chroma import (
        closed_after,
        collection_names,
        existing_client,
        read_records,
        require_collection,
        stored_collection,
    )
    from dragon_finetune.index.freshness import StaleIndexWarning

    with closed_after(existing_client(store)) as client:
        require_collection(name, collection_names(client, store), store)
        collection = stored_collection(client, name)
        found = list(read_records(collection))
        records = [record for record in found if record.text.strip()]
        if not records:
            raise DataError(f"collection {name!r} of {store}: none of its {len(found)} records has a text to show.")
        chunks = [ChunkRef(f"{name}, {each.id}", each.id, each.text, dict(each.metadata)) for each in records]
        columns = {each: _column(by, collection, records, chunks) for each, by in models.items()}
    if all(column.stale for column in columns.values()):
        warnings.warn(next(iter(columns.values())).origin, StaleIndexWarning, stacklevel=2)
    lost = len(found) - len(records)
    return Corpus(f"{name} of {store}", chunks, columns, f"{lost} records without a text are left out." if lost else "")


def _column(
    embedder: FineTunedEmbedder, collection: Any, records: Sequence["Record"], chunks: Sequence[ChunkRef]
) -> Column:
    reason = _why_not(embedder, collection)
    if reason is None:
        return Column(unit(np.stack([record.vector for record in records])), "the collection's own vectors")
    origin = (
        f"The vectors of {collection.name!r} are not those of {embedder.model_path}: {reason}. They are not searched; "
        f"its {len(chunks):,} texts were embedded instead."
    )
    return Column(kept_vectors(chunks, embedder), origin, stale=True)


def _why_not(embedder: FineTunedEmbedder, collection: Any) -> str | None:
    """Return why a collection's vectors can't be an embedder's; None: they are."""
    from dragon_finetune.index.agreement import agreement
    from dragon_finetune.index.collection import stored_fingerprint
    from dragon_finetune.index.sample import take_sample

    known = stored_fingerprint(collection)
    if known is not None and not embedder.recognises(known):
        return f"it was made by fingerprint {known[:8]}, this is {embedder.document_fingerprint[:8]}"
    sample = take_sample(collection, _SAMPLE)
    if sample is None:
        return "too few of its records have texts to compare"
    if sample.width != embedder.dimension:
        return f"they have {sample.width} numbers, this model's {embedder.dimension}"
    agree = agreement(embedder, sample, "document")
    return None if agree.all() else f"{int(agree.sum())} of {len(sample)} looked at are what it makes of their texts"
