"""Why stored vectors are not this encoder's: another prompt, another model, half of another run."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dragon_finetune.embedding.embedder import FineTunedEmbedder
from dragon_finetune.embedding.engine import Vectors
from dragon_finetune.errors import DragonFinetuneError
from dragon_finetune.index.agreement import agreement, cosines_to_stored
from dragon_finetune.index.chroma import Record
from dragon_finetune.index.health import Finding
from dragon_finetune.index.misplaced import find_misplaced

_MOST = 0.9  # share of agreeing samples from which a model or prompt is taken for the maker


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
    owner = find_misplaced([embedder.model_path, *suspects], embedder, chunks, records, unit)
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
