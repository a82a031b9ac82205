"""How near stored vectors are to what an encoder makes of the same texts."""

from collections.abc import Sequence
from typing import Any

from dragon_finetune.embedding.embedder import FineTunedEmbedder
from dragon_finetune.embedding.engine import Vectors
from dragon_finetune.index.chroma import Record
from dragon_finetune.model_folder import Role

# The same text by the same weights: bf16 and other kernels stay above 0.999, another prompt or model far below.
SAME = 0.995


def agreement(embedder: FineTunedEmbedder, records: Sequence[Record], unit: Vectors, role: Role | None) -> Any:
    """Tell of each record whether its stored vector is what `embedder` makes of its text."""
    return cosines_to_stored(embedder, records, unit, role) >= SAME


def cosines_to_stored(embedder: FineTunedEmbedder, records: Sequence[Record], unit: Vectors, role: Role | None) -> Any:
    """Return the cosine of each stored unit vector to what `embedder` makes of its record's text."""
    again = _patient(embedder).encode([record.text for record in records], role=role)
    return (again * unit).sum(axis=1)


def _patient(embedder: FineTunedEmbedder) -> FineTunedEmbedder:
    """Return the embedder, one that splits where it would refuse: an index may hold what we would not have made."""
    if embedder.options.on_overflow != "error":
        return embedder
    return embedder.like(on_overflow="split")
