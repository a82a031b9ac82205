"""Vectors that belong to other texts: found by asking whose they are."""

from collections.abc import Sequence
from pathlib import Path

from dragon_finetune.chunks import read_chunks
from dragon_finetune.embedding.embedder import FineTunedEmbedder
from dragon_finetune.embedding.engine import Vectors
from dragon_finetune.index.agreement import SAME
from dragon_finetune.index.chroma import Record
from dragon_finetune.index.health import Finding

_NEIGHBOURS = 128  # rows after a record in its file whose text a misplaced vector may belong to


def find_misplaced(
    models: Sequence[str],
    embedder: FineTunedEmbedder,
    chunks: list[Path | str],
    records: Sequence[Record],
    unit: Vectors,
) -> Finding | None:
    """Return what is wrong where vectors are some other text's: of the store, or of a later row of the same file."""
    places = {chunk.text: row for row, chunk in enumerate(read_chunks(chunks, unique=False))} if chunks else {}
    texts = list(places)
    for model in models:
        other = embedder.like(model, prompts=None, on_overflow="split")
        found = []
        for record, vector in zip(records[:4], unit[:4], strict=False):
            row = places.get(record.text)
            rivals = [each.text for each in records] if row is None else texts[row : row + _NEIGHBOURS]
            scores = other.encode(rivals, role="document") @ vector
            best = int(scores.argmax())
            if scores[best] >= SAME and rivals[best] != record.text:
                found.append((record.id, rivals[best]))
        if found:
            identity, text = found[0]
            return Finding(
                "misplaced",
                f"Its vectors belong to other texts: {identity} holds the vector of {text[:50]!r}. One vector was kept "
                "per batch, for the first text of the batch: a fault of the host's embedder. Scores of such an index "
                "are those of random vectors. Embed it again.",
            )
    return None
