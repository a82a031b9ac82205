"""Vectors whose dense parts are this model's and whose words are not: without any, or of another lexicon."""

from dragon_finetune.embedding.embedder import FineTunedEmbedder
from dragon_finetune.index.agreement import agreement
from dragon_finetune.index.health import Finding
from dragon_finetune.index.sample import Sample

_MOST = 0.9
_MANY_UNKNOWN = 0.05


def explain_words(embedder: FineTunedEmbedder, sample: Sample) -> Finding | None:
    """Return what is wrong with the words in vectors that are this model's but for them; None: that is not it."""
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
    return Finding(
        "lexicon",
        f"Its vectors were made with another lexicon, share or level than {embedder.model_path} holds; their dense "
        "parts are the same. Query it with the folder that made it, or embed it again.",
    )


def note_unknown(embedder: FineTunedEmbedder, sample: Sample) -> str | None:
    """Return how many words of the sampled texts the lexicon does not know, and what to do if they are many."""
    sketcher = embedder.joiner.sketcher if embedder.joiner else None
    if sketcher is None:
        return None
    share = sketcher.unknown(sample.texts)
    advice = " Make a new lexicon of all chunks: these words count as if each stood in one passage."
    return f"{share:.1%} of the words of the sampled texts are not in the lexicon.{advice * (share > _MANY_UNKNOWN)}"
