"""Whether vectors are some encoder's, and yet not those of the texts that they stand with."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dragon_finetune.embedding.embedder import FineTunedEmbedder
from dragon_finetune.index.sample import Sample
from dragon_finetune.model_folder import Role

_FEWEST = 4  # records below which chance could look like this
# Seen on three novels with MiniLM, and with random models: 8 last vectors of batches of 32 to 100 have a likeness above
# 0.94 and a rank above 0.21 (in 99 of 100 draws); another model of the same size a likeness below 0.5, or, where it was
# tuned from the same base, a rank near 0.
_ALIKE, _UNTIED, _TIED = 0.85, 0.2, 0.1


class _Ties(NamedTuple):
    likeness: float
    """Mean cosine of stored vectors to other texts, by that among the stored ones and among the texts; 1: one space."""
    rank: float
    """Share of other texts that a stored vector is at least as near to as to its own: 0 tied, 0.5 chance."""


def maker_of_untied(
    makers: Sequence[FineTunedEmbedder], roles: Sequence[Role | None], wrong: Sample, everywhere: Sample
) -> FineTunedEmbedder | None:
    """Return the encoder in whose space vectors lie that are not tied to their own texts; None if there is none.

    Args:
        makers: the encoders to try.
        roles: the prompts to try with each.
        wrong: the records in question.
        everywhere: records to ask in their place where they are too few to tell.
    """
    sample = wrong if len(wrong) >= _FEWEST else everywhere
    if len(sample) < _FEWEST:
        return None
    found = {(maker, role): _ties(sample, maker, role) for maker in makers for role in roles}
    if any(ties.rank < _TIED for ties in found.values()):
        return None
    fitting = (maker for (maker, _), ties in found.items() if ties.likeness >= _ALIKE and ties.rank >= _UNTIED)
    return next(fitting, None)


def _ties(sample: Sample, maker: FineTunedEmbedder, role: Role | None) -> _Ties:
    again = sample.encoded(maker, role)
    others = ~np.eye(len(sample), dtype=bool)
    between = sample.unit @ again.T
    within = [max(float((each @ each.T)[others].mean()), 1e-3) for each in (sample.unit, again)]
    own = np.diag(between)[:, None]
    nearer = ((between >= own) & others).sum(axis=1) / (len(sample) - 1)
    return _Ties(float(between[others].mean()) / float(np.sqrt(within[0] * within[1])), float(nearer.mean()))
