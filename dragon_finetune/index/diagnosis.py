"""Why stored vectors are not this encoder's: another prompt, another model, another text, half of another run."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from dragon_finetune.embedding.embedder import FineTunedEmbedder
from dragon_finetune.index.agreement import agreement, cosines_to_stored
from dragon_finetune.index.chunk_files import ChunkFiles
from dragon_finetune.index.health import Finding
from dragon_finetune.index.misplaced import find_misplaced
from dragon_finetune.index.sample import Sample
from dragon_finetune.index.suspects import Suspects
from dragon_finetune.model_folder import Role

_MOST = 0.9  # share of agreeing samples from which a model or prompt is taken for the maker
_OTHER_PROMPTS: tuple[tuple[Role | None, str], ...] = (("query", "the query prompt"), (None, "no prompt"))


def diagnose(
    embedder: FineTunedEmbedder,
    suspects: Suspects,
    sample: Sample,
    agree: Any,
    everywhere: Sample,
    files: ChunkFiles | None,
    stored: Sequence[str],
) -> Finding:
    """Return why the sampled vectors that do not agree are not this encoder's.

    Args:
        embedder: the encoder that will query.
        suspects: other models that may have made them.
        sample: the records, and
        agree: which of them are this encoder's.
        everywhere: the records of all collections that are not.
        files: the chunk files, if they are known.
        stored: the collection's texts (the sample's, where the files are not known).
    """
    for role, prompt in _OTHER_PROMPTS:
        if agreement(embedder, sample, role).mean() > max(_MOST, agree.mean()):
            how = "as queries" if embedder.folder.routed and role == "query" else f"with {prompt}"
            return Finding("prompts", f"Its documents were embedded {how}: embed it again.")
    others = suspects.of_width(sample.width)
    for name, other in others.items():
        if agreement(other, sample, "document").mean() > _MOST:
            return Finding("stale", f"Its vectors are those of {name}, not {embedder.model_path}: embed it again.")
    # Before "mixed": the host's fault stores a batch of one text rightly.
    misplaced = find_misplaced([embedder, *others.values()], sample.part(~agree), everywhere, files, stored)
    if misplaced:
        return misplaced
    return mixed(sample, agree) if agree.any() else _stale(embedder, suspects, sample)


def explain_width(embedder: FineTunedEmbedder, suspects: Suspects, sample: Sample) -> tuple[Finding, int]:
    """Return why vectors have another dimension than this encoder's, and how many are its own but for that."""
    width, full = sample.width, embedder.engine.dimension
    short = f"Its vectors have {width} dimensions, {embedder.model_path} makes {embedder.dimension}"
    if width <= full:
        own = agreement(
            embedder.like(truncate_dim=width if width < full else None, dense_only=True), sample, "document"
        )
        if own.mean() > _MOST:
            what = f"they are the first {width} of its {full} (Matryoshka)" if width < full else "they are all it has"
            how = f"with `truncate_dim: {width}` in `finetuned:`" if width < full else "without truncate_dim"
            return Finding("dimension", f"{short}: {what}. Query them {how}, or embed it again."), int(own.sum())
    for name, other in suspects.of_width(width).items():
        if agreement(other, sample, "document").mean() > _MOST:
            part = f"the first {width} of {name}" if width < other.engine.dimension else f"those of {name}"
            return Finding("dimension", f"{short}: they are {part}. Embed it again."), 0
    return Finding("dimension", f"{short}: embed it again."), 0


def mixed(sample: Sample, agree: Any, changed: str = "model") -> Finding:
    """Return that some of the sampled vectors are not this encoder's, for a run changed its model (or what it was)."""
    wrong = np.flatnonzero(~agree)
    first, last = sample.ids[int(wrong[0])], sample.ids[int(wrong[-1])]
    return Finding(
        "mixed",
        f"{len(wrong)} of {len(sample)} sampled vectors are not this encoder's, from record {first} to {last}; "
        f"the others are. An indexing run changed its {changed} half way: embed it again, whole.",
    )


def _stale(embedder: FineTunedEmbedder, suspects: Suspects, sample: Sample) -> Finding:
    median = float(np.median(cosines_to_stored(embedder, sample, "document")))
    return Finding(
        "stale",
        f"Its vectors are not of {embedder.model_path} (median cosine to its own {median:.2f}) nor of "
        f"{', '.join(suspects.tried) or 'any model known here (name some with --other)'}: embed it again."
        f"{suspects.not_tried()}",
    )
