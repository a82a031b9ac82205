"""Vectors of texts, kept in the user's cache from one look at a corpus to the next."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dragon_finetune.chunks import ChunkRef
from dragon_finetune.embedding.cache import cache_folder
from dragon_finetune.embedding.embedder import FineTunedEmbedder
from dragon_finetune.embedding.engine import Vectors
from dragon_finetune.index.bulk import embed_each
from dragon_finetune.index.shards import VectorStore


def kept_vectors(chunks: Sequence[ChunkRef], embedder: FineTunedEmbedder, folder: Path | str | None = None) -> Vectors:
    """Return the vectors of the chunks, (chunks, dimension), in order; only what is not kept yet is embedded.

    Args:
        chunks: at least one.
        embedder: whose vectors.
        folder: where vectors are kept by fingerprint; default: the user's cache.

    Raises:
        TokenLimitError: a text over the limit, and the embedder's on_overflow is "error".
        DataError: a damaged shard, or a disk that is full.
    """
    folder = folder or cache_folder("vectors")
    embed_each(chunks, len(chunks), folder, embedder)
    store = VectorStore(folder, embedder)
    return np.stack([store.vector(key) for key in embedder.vector_keys([chunk.text for chunk in chunks])])
