"""Why stored vectors are not this encoder's: another prompt, another model, another text's."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dragon_finetune.chunks import read_chunks
from dragon_finetune.embedding.embedder import FineTunedEmbedder
from dragon_finetune.embedding.engine import Vectors
from dragon_finetune.errors import DragonFinetuneError
from dragon_finetune.index.agreement import SAME, agreement, cosines_to_stored
from dragon_finetune.index.chroma import Record
from dragon_finetune.index.health import Finding

_MOST = 0.9  # share of agreeing samples from which a model or prompt is taken for the maker
_NEIGHBOURS = 128  # rows after a record in its file whose text a misplaced vector may belong to


def diagnose(
    embedder: FineTunedEmbedder,
    suspects: Sequence[str],
    chunks: list[Path | str],
    records: Sequence[Record],
    unit: Vectors,
    agree: Any,
) -> Finding:
    """Return why the sampled vectors that do not agree are not this encoder's."""
    for role, prompt in (("query", "the query prompt"), (None, "no prompt")):
        if agreement(embedder, records, unit, role).mean() > max(_MOST, agree.mean()):  # type: ignore[arg-type]
            return Finding("prompts", f"Its documents were embedded with {prompt}: embed it again.")
    for suspect in suspects:
        if _made_by(suspect, embedder, records, unit):
            return Finding("stale", f"Its vectors are those of {suspect}, not {embedder.model_path}: embed it again.")
    wrong = np.flatnonzero(~agree)
    if agree.any():
        first, last = records[int(wrong[0])].id, records[int(wrong[-1])].id
        return Finding(
            "mixed",
            f"{len(wrong)} of {len(records)} sampled vectors are not this encoder's, from record {first} to {last}; "
            "the others are. An indexing run changed its model half way: embed it again, whole.",
        )
    owner = _owner_of_misplaced([embedder.model_path, *suspects], embedder, chunks, records, unit)
    if owner:
        return owner
    median = float(np.median(cosines_to_stored(embedder, records, unit, "document")))
    return Finding(
        "stale",
        f"Its vectors are not of {embedder.model_path} (median cosine to its own {median:.2f}) nor of "
        f"{', '.join(suspects) or 'any model known here (name some with --other)'}: embed it again.",
    )


def _made_by(suspect: str, embedder: FineTunedEmbedder, records: Sequence[Record], unit: Vectors) -> bool:
    try:
        other = embedder.like(suspect, prompts=None, on_overflow="split")
        return other.dimension == unit.shape[1] and bool(agreement(other, records, unit, "document").mean() > _MOST)
    except DragonFinetuneError:
        return False


def _owner_of_misplaced(
    models: Sequence[str],
    embedder: FineTunedEmbedder,
    chunks: list[Path | str],
    records: Sequence[Record],
    unit: Vectors,
) -> Finding | None:
    """Find vectors that are some other text's: of the store, or of a later row of the same chunk file."""
    places = {chunk.text: row for row, chunk in enumerate(read_chunks(chunks))} if chunks else {}
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
