"""How near stored vectors are to what an encoder makes of the same texts."""

import warnings
from typing import Any

import numpy as np

from dragon_finetune.embedding.embedder import FineTunedEmbedder
from dragon_finetune.index.sample import Sample
from dragon_finetune.model_folder import Role
from dragon_finetune.tokens.counting import TokenCounter

# The same text by the same weights: bf16 and other kernels stay above 0.999, another prompt or model far below.
SAME = 0.995


# Words are counted, not computed by kernels that differ: what is joined is the same but for rounding.
_SAME_WORDS = 1e-3


def agreement(embedder: FineTunedEmbedder, sample: Sample, role: Role | None) -> Any:
    """Tell of each record whether its vector is what `embedder` makes of its text, whole or cut to the limit.

    Of vectors with words the dense parts are compared, and what is joined to them: a level of distances, which all
    share, would hide what differs.
    """
    if embedder.joiner is None:
        return cosines_to_stored(embedder, sample, role) >= SAME
    dense = embedder.without_words
    part = sample.dense(dense.dimension)
    joined = embedder.joiner.join(part.unit, sample.texts, role)[:, dense.dimension :]
    apart = np.abs(joined - sample.unit[:, dense.dimension :]).max(axis=1)
    return agreement(dense, part, role) & (apart < _SAME_WORDS)


def cosines_to_stored(embedder: FineTunedEmbedder, sample: Sample, role: Role | None) -> Any:
    """Return the cosine of each stored vector to what `embedder` makes of its text, whole or cut to the limit."""
    cosines = _to_whole(embedder, sample, role)
    cut = _over_limit(embedder, sample, role, np.flatnonzero(cosines < SAME))
    if cut.size:
        with warnings.catch_warnings():  # of the cut, which is not ours
            warnings.simplefilter("ignore")
            part = sample.part(cut)
            again = embedder.like(on_overflow="truncate").encode(part.texts, role=role)
        cosines[cut] = np.maximum(cosines[cut], (again * part.unit).sum(axis=1))
    return cosines


def agrees_when_cut(embedder: FineTunedEmbedder, sample: Sample) -> int:
    """Return how many vectors are what `embedder` makes of their texts only when it cuts these to its limit."""
    return int((agreement(embedder, sample, "document") & (_to_whole(embedder, sample, "document") < SAME)).sum())


def _to_whole(embedder: FineTunedEmbedder, sample: Sample, role: Role | None) -> Any:
    return (sample.encoded(embedder, role) * sample.unit).sum(axis=1)


def _over_limit(embedder: FineTunedEmbedder, sample: Sample, role: Role | None, places: Any) -> Any:
    limit = embedder.folder.limit
    if limit is None or not places.size:
        return places[:0]
    counter = TokenCounter(embedder.engine.tokenizer_of(role), prompt=role, prompts=embedder.folder.prompts)
    tokens = counter.counts(sample.texts[place] for place in places)
    return places[np.fromiter(tokens, dtype=int) > limit]
