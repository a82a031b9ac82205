"""Retrieval without a host: a model, chunk files and questions in, the host's kind of answers out."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dragon_finetune.chunks import ChunkRef, no_chunks, read_chunks
from dragon_finetune.embedding.embedder import FineTunedEmbedder
from dragon_finetune.errors import DataError
from dragon_finetune.index.kept import kept_vectors

TOP_K = 10  # as many as the host looks at


def retrieve(
    embedder: FineTunedEmbedder,
    files: Sequence[Path | str],
    questions: Sequence[Mapping[str, Any]],
    *,
    top_k: int = TOP_K,
    vectors: Path | str | None = None,
    text_field: str | None = None,
) -> list[dict[str, Any]]:
    """Return each question with its nearest chunks, in the form of the host's answers (HOST_CONTRACT 10, era A).

    Distances are squared L2 of unit vectors, as the host's Chroma gives them; ties go to the earlier chunk. A question
    with a `temporal_limit` sees chunks up to that `temporal_order` and those without one.

    Args:
        embedder: whose vectors are compared.
        files: chunk files.
        questions: as `load_questions` returns them.
        top_k: chunks per question.
        vectors: folder in which vectors are kept by fingerprint, so that no text is embedded twice; default: the
            user's cache.
        text_field: the field of the chunks that holds the text (`read_chunks`).

    Raises:
        DataError: a bad record in a chunk file, a `temporal_order` that is no number, or no chunk at all.
        TokenLimitError: a text over the limit, and the embedder's on_overflow is "error".
    """
    chunks = list(read_chunks(files, unique=False, text_field=text_field))
    if not chunks:
        raise no_chunks(files)
    matrix = kept_vectors(chunks, embedder, vectors)
    asked = embedder.encode([str(question["question"]) for question in questions], role="query")
    distances = np.maximum(2 - 2 * (asked @ matrix.T), 0)
    orders = np.array([_order(chunk) for chunk in chunks])
    results = []
    for question, row in zip(questions, distances, strict=True):
        limit = question.get("temporal_limit")
        if limit is not None:
            row = np.where(orders > limit, np.inf, row)
        nearest = np.argsort(row, kind="stable")[:top_k]
        found = [_answer(chunks[place], float(row[place])) for place in nearest.tolist() if np.isfinite(row[place])]
        results.append({**question, "total_chunks_retrieved": len(found), "retrieved_chunks": found})
    return results


def _order(chunk: ChunkRef) -> float:
    order = chunk.metadata.get("temporal_order")
    try:
        return float(order) if order is not None else -np.inf
    except (TypeError, ValueError):
        raise DataError(f"{chunk.where}: temporal_order is {order!r:.60}; it must be a number.") from None


def _answer(chunk: ChunkRef, distance: float) -> dict[str, Any]:
    known = {name: chunk.metadata.get(name) for name in ("source", "source_file", "temporal_order")}
    return {"text": chunk.text, "distance": distance, "chunk_id": chunk.id, **known}
