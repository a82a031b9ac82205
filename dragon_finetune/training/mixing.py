"""How much of each source is trained on."""

from collections.abc import Mapping, Sequence

import numpy as np

from dragon_finetune.pair import Pair


def weigh(pairs: Sequence[Pair], weights: Mapping[str, float], seed: int) -> list[Pair]:
    """Return the pairs, of each source in `weights` only that share (0 to 1) of its pairs, drawn at random."""
    by_source: dict[str, list[int]] = {}
    for index, pair in enumerate(pairs):
        by_source.setdefault(str(pair.metadata.get("source", "")), []).append(index)
    rng = np.random.default_rng(seed)
    kept: set[int] = set()
    for source, indices in by_source.items():
        wanted = round(len(indices) * weights.get(source, 1.0))
        kept.update(np.array(indices)[rng.permutation(len(indices))[:wanted]].tolist())
    return [pair for index, pair in enumerate(pairs) if index in kept]


def mix_in(pairs: Sequence[Pair], general: Sequence[Pair], share: float, seed: int) -> list[Pair]:
    """Return the pairs with general ones drawn at random, which make up at most `share` of the result."""
    wanted = min(len(general), round(len(pairs) * share / (1 - share)))
    chosen = np.random.default_rng(seed).permutation(len(general))[:wanted]
    mixed = [*pairs, *(general[index] for index in np.sort(chosen).tolist())]
    return mixed
