"""Why stored vectors are not this encoder's: another prompt, another model, half of another run."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dragon_finetune.embedding.embedder import FineTunedEmbedder
from dragon_finetune.embedding.engine import Vectors
from dragon_finetune.index.agreement import agreement, cosines_to_stored
from dragon_finetune.index.chroma import Record
from dragon_finetune.index.health import Finding
from dragon_finetune.index.misplaced import find_misplaced
from dragon_finetune.index.suspects import Suspects

_MOST = 0.9  # share of agreeing samples from which a model or prompt is taken for the maker


def diagnose(
    embedder: FineTunedEmbedder,
    suspects: Suspects,
    chunks: list[Path | str],
    records: Sequence[Record],
    unit: Vectors,
    agree: Any,
) -> Finding:
    """Return why the sampled vectors that do not agree are not this encoder's."""
    for role, prompt in (("query", "the query prompt"), (None, "no prompt")):
        if agreement(embedder, records, unit, role).mean() > max(_MOST, agree.mean()):  # type: ignore[arg-type]
            return Finding("prompts", f"Its documents were embedded with {prompt}: embed it again.")
    for name, other in suspects.of_width(unit.shape[1]).items():
        if agreement(other, records, unit, "document").mean() > _MOST:
            return Finding("stale", f"Its vectors are those of {name}, not {embedder.model_path}: embed it again.")
    wrong = np.flatnonzero(~agree)
    if agree.any():
        first, last = records[int(wrong[0])].id, records[int(wrong[-1])].id
        return Finding(
            "mixed",
            f"{len(wrong)} of {len(records)} sampled vectors are not this encoder's, from record {first} to {last}; "
            "the others are. An indexing run changed its model half way: embed it again, whole.",
        )
    alike = [other.model_path for other in suspects.of_width(unit.shape[1]).values()]
    owner = find_misplaced([embedder.model_path, *alike], embedder, chunks, records, unit)
    if owner:
        return owner
    median = float(np.median(cosines_to_stored(embedder, records, unit, "document")))
    return Finding(
        "stale",
        f"Its vectors are not of {embedder.model_path} (median cosine to its own {median:.2f}) nor of "
        f"{', '.join(suspects.tried) or 'any model known here (name some with --other)'}: embed it again."
        f"{suspects.not_tried()}",
    )
