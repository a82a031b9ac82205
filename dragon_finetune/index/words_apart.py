"""Vectors whose dense parts are this model's and whose words are not: without any, or of another lexicon."""

from typing import Any

import numpy as np

from dragon_finetune.embedding.embedder import FineTunedEmbedder
from dragon_finetune.index.agreement import agreement
from dragon_finetune.index.diagnosis import mixed
from dragon_finetune.index.health import Finding
from dragon_finetune.index.sample import Sample
from dragon_finetune.model_folder import Role

_MOST = 0.9
_MANY_UNKNOWN = 0.05
_OTHER_ROLES: tuple[tuple[Role | None, str], ...] = (("query", "as queries"), (None, "without a role"))


def explain_words(embedder: FineTunedEmbedder, sample: Sample, agree: Any = None) -> Finding | None:
    """Return what is wrong with the words in vectors that are this model's but for them; None: that is not it.

    Args:
        embedder: the encoder that will query.
        sample: the records, and, if they have its dimension,
        agree: which of them are wholly its own.
    """
    dense = embedder.without_words
    of_the_model_alone = sample.width <= embedder.engine.dimension and sample.width != dense.dimension
    if sample.width < dense.dimension or of_the_model_alone:
        return None
    if agreement(dense, sample.dense(dense.dimension), "document").mean() <= _MOST:
        return None
    if embedder.joiner is None:
        if sample.width == dense.dimension:
            return None
        message = f"Its vectors have words or a level of distances in them, which {embedder.model_path} has not: "
        return Finding("lexicon", f"{message}query it with the folder that made it, or embed it again.")
    if sample.width == dense.dimension:
        return Finding(
            "lexical",
            f"Its vectors are those of {embedder.model_path} without what is joined to them. Make a joined collection "
            "of it: `dragon-finetune lexicon ... --add-to STORE --collection NAME --as NEW`, or embed it again.",
        )
    if agree is not None and (found := _in_another_role(embedder, sample, agree) or _of_two(embedder, sample, agree)):
        return found
    return Finding(
        "lexicon",
        f"Its vectors were made with another lexicon, share or level than {embedder.model_path} holds; their dense "
        "parts are the same. Query it with the folder that made it, or embed it again.",
    )


def _in_another_role(embedder: FineTunedEmbedder, sample: Sample, agree: Any) -> Finding | None:
    """Return that documents were joined as something else, which the dense vectors of a model without prompts hide."""
    for role, how in _OTHER_ROLES:
        if agreement(embedder, sample, role).mean() > max(_MOST, agree.mean()):
            return Finding("prompts", f"Its documents were embedded {how}: embed it again.")
    return None


def _of_two(embedder: FineTunedEmbedder, sample: Sample, agree: Any) -> Finding | None:
    """Return that some vectors have this lexicon's words in them and some have not."""
    lexicon = embedder.joiner.lexicon if embedder.joiner else None
    # A text without words has one vector under many lexicons.
    telling = np.array([lexicon is None or bool(lexicon.words(text)) for text in sample.texts])
    return mixed(sample, agree, "lexicon, share, level or role") if (agree & telling).any() else None


def note_unknown(embedder: FineTunedEmbedder, sample: Sample) -> str | None:
    """Return how many words of the sampled texts the lexicon does not know, and what to do if they are many."""
    sketcher = embedder.joiner.sketcher if embedder.joiner else None
    if sketcher is None:
        return None
    share = sketcher.unknown(sample.texts)
    advice = " Make a new lexicon of all chunks: these words count as if each stood in one passage."
    return f"{share:.1%} of the words of the sampled texts are not in the lexicon.{advice * (share > _MANY_UNKNOWN)}"
