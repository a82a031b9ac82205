"""From the shards of a bulk run into a Chroma collection."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from dragon_finetune.chunks import ChunkRef, read_chunks
from dragon_finetune.embedding.embedder import FineTunedEmbedder
from dragon_finetune.errors import DataError
from dragon_finetune.index.bulk import in_groups
from dragon_finetune.index.chroma import Record, closed_after, open_client, read_ids, remove, upsert
from dragon_finetune.index.collection import open_collection
from dragon_finetune.index.origin import CHUNK_FILE, Origins
from dragon_finetune.index.shards import VectorStore
from dragon_finetune.progress import progress


def load_collection(
    files: Sequence[Path | str],
    out: Path | str,
    embedder: FineTunedEmbedder,
    store: str,
    name: str,
    *,
    replace: bool = False,
    text_field: str | None = None,
    read: Callable[..., Iterator[ChunkRef]] = read_chunks,
) -> int:
    """Write the embedded chunks of `files` into a collection, by their ids; return how many.

    Each record notes its file (`origin.CHUNK_FILE`).

    Args:
        files: the chunk files, in the order in which they were embedded.
        out: the folder of the shards.
        embedder: the encoder; its fingerprint names the shards and goes into the collection's config.
        store: a Chroma folder, or a server's address.
        name: the collection, made if it is new.
        replace: afterwards take out what was loaded from these files before and is in them no more.
        text_field: the field that holds the text (`read_chunks`).
        read: what reads the files.

    Raises:
        DataError: a chunk that is not in the shards; names file and line.
        StaleIndexError: the collection holds another encoder's vectors.
    """
    vectors = VectorStore(out, embedder)
    with closed_after(open_client(store)) as client:
        collection = open_collection(client, name, embedder)
        chunks = progress(read(files, text_field=text_field), desc="load", unit="chunk")
        written = upsert(client, collection, _records(chunks, vectors, embedder))
        if replace:
            _take_out_others(collection, files, list(read(files, text_field=text_field)))
    return written


def _take_out_others(collection: Any, files: Sequence[Path | str], chunks: Sequence[ChunkRef]) -> None:
    current, origins = {chunk.id for chunk in chunks}, Origins(files, chunks)
    remove(
        collection,
        [
            identity
            for identity, metadata in read_ids(collection)
            if identity not in current and origins.include(identity, metadata)
        ],
    )


def _records(chunks: Iterable[ChunkRef], vectors: VectorStore, embedder: FineTunedEmbedder) -> Iterator[Record]:
    for group in in_groups(chunks):
        keys = embedder.vector_keys([chunk.text for chunk in group])
        for chunk, key in zip(group, keys, strict=True):
            if key not in vectors:
                raise DataError(f"{chunk.where}: this chunk is not embedded in the shards. Embed the file first.")
            yield Record(chunk.id, chunk.text, vectors.vector(key), {**chunk.metadata, CHUNK_FILE: chunk.file})
