"""The level of distances fitted: such that what a query finds lies on the whole as far away as with the base."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from dragon_finetune.embedding.embedder import FineTunedEmbedder
from dragon_finetune.embedding.engine import Vectors
from dragon_finetune.embedding.fingerprint import fingerprint
from dragon_finetune.errors import DataError
from dragon_finetune.lexical.level import Level, level_between
from dragon_finetune.overlap import near_duplicates
from dragon_finetune.tokens.boundaries import sentences

_PASSAGES, _QUERIES, _FEWEST = 400, 200, 10
_WORDS = (4, 30)
_FOUND = 10


class Spread(NamedTuple):
    """Mean cosine of queries to what they find first and tenth."""

    first: float
    tenth: float


@dataclass(frozen=True)
class Levels:
    """How near a level brings the distances to the base's."""

    base: Spread
    native: Spread
    kept: Spread
    queries: int

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> "Levels":
        """Return what a card holds of one."""
        spreads = {name: Spread(*record[name]) for name in ("base", "native", "kept")}
        return cls(**spreads, queries=record["queries"])

    def __str__(self) -> str:
        def both(spread: Spread) -> str:
            squared = f"{2 - 2 * spread.first:.2f} and {2 - 2 * spread.tenth:.2f}"
            return f"cosine {spread.first:.3f} and {spread.tenth:.3f} (squared l2 {squared})"

        return (
            f"distances of the first and the tenth hit, over {self.queries} sentences as queries: base "
            f"{both(self.base)}, native {both(self.native)}, kept {both(self.kept)}"
        )


@dataclass(frozen=True)
class Probe:
    """Sentences taken out of their passages, as queries, and the passages without them."""

    queries: list[str]
    passages: list[str]


def probe_of(texts: Sequence[str], avoid: Sequence[str] = (), seed: int = 0) -> Probe:
    """Return queries and passages drawn from a corpus.

    Args:
        texts: its passages.
        avoid: no sentence is taken that is near to one of these (a test's questions).
        seed: of the draw.

    Raises:
        DataError: fewer than ten passages have two sentences of four words or more.
    """
    dice = random.Random(seed)
    drawn = dice.sample(list(texts), min(_PASSAGES, len(texts)))
    queries: list[str] = []
    passages: list[str] = []
    for text in drawn:
        units = sentences(text)
        usable = [unit for unit in units if _WORDS[0] <= len(text[unit.start : unit.end].split()) <= _WORDS[1]]
        if len(units) > 1 and usable and len(queries) < _QUERIES:
            unit = dice.choice(usable)
            queries.append(text[unit.start : unit.end])
            text = f"{text[: unit.start]}{text[unit.end :]}".strip()
        passages.append(text)
    near = {pair.left for pair in near_duplicates(queries, list(avoid))} if avoid else set()
    queries = [query for place, query in enumerate(queries) if place not in near]
    if len(queries) < _FEWEST:
        raise DataError(
            f"only {len(queries)} passages have a sentence to ask for, too few to see where distances lie. Give more "
            "chunks, or keep the model's own distances (`distances: native`, --distances native)."
        )
    return Probe(queries, passages)


def fit_level(probe: Probe, base: FineTunedEmbedder, new: FineTunedEmbedder) -> tuple[Level, Levels]:
    """Return the level that brings the distances of `new` nearest to those of `base`, and how near.

    Args:
        probe: what is asked of what.
        base: whose distances are wanted.
        new: the model, with the lexicon that its folder holds, and no level yet.
    """
    dense = [_both(embedder.like(dense_only=True), probe) for embedder in _different(base, new)]
    wanted = _cosines(dense[0])
    native = _joined(new, dense[-1], probe)
    level = level_between(_cosines(native), wanted)
    kept = _cosines((level.apply(native[0], "query"), level.apply(native[1], "document")))
    return level, Levels(_spread(wanted), _spread(_cosines(native)), _spread(kept), len(probe.queries))


def _different(base: FineTunedEmbedder, new: FineTunedEmbedder) -> list[FineTunedEmbedder]:
    """Return the one embedder where both have the same model, else both."""
    same = fingerprint(base.folder, dense_only=True) == fingerprint(new.folder, dense_only=True)
    return [base] if same else [base, new]


def _joined(new: FineTunedEmbedder, dense: tuple[Vectors, Vectors], probe: Probe) -> tuple[Vectors, Vectors]:
    if new.joiner is None:
        return dense
    queries, passages = dense
    return (
        new.joiner.join(queries, probe.queries, "query"),
        new.joiner.join(passages, probe.passages, "document"),
    )


def _both(embedder: FineTunedEmbedder, probe: Probe) -> tuple[Vectors, Vectors]:
    return (embedder.encode(probe.queries, role="query"), embedder.encode(probe.passages, role="document"))


def _cosines(vectors: tuple[Vectors, Vectors]) -> Vectors:
    """Return the cosines of each query to what it finds first and tenth, (queries, 2)."""
    queries, passages = vectors
    ranked = -np.sort(-(queries @ passages.T), axis=1)
    return np.stack([ranked[:, 0], ranked[:, min(_FOUND, ranked.shape[1]) - 1]], axis=1)


def _spread(cosines: Vectors) -> Spread:
    first, tenth = cosines.mean(axis=0)
    return Spread(float(first), float(tenth))
