"""The level of distances fitted: such that what a query finds first lies on the whole as far away as with the base."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from dragon_finetune.embedding.embedder import FineTunedEmbedder
from dragon_finetune.embedding.engine import Vectors
from dragon_finetune.embedding.joiner import Joiner
from dragon_finetune.errors import DataError
from dragon_finetune.lexical.level import Level, level_between
from dragon_finetune.overlap import near_duplicates
from dragon_finetune.tokens.boundaries import sentences
from dragon_finetune.wording import run_together, spoken

PASSAGES = 200
"""How many passages of a corpus the level is fitted on."""
_QUERIES, _FEWEST = 100, 10
_FEWEST_WORDS, _MOST_WORDS = 4, 30
# The host takes points by the nearest of ten, and by how far more than half of them are.
_FOUND = 5


class Spread(NamedTuple):
    """Mean cosine of queries to what they find first and fifth."""

    first: float
    fifth: float


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
            squared = f"{2 - 2 * spread.first:.2f} and {2 - 2 * spread.fifth:.2f}"
            return f"cosine {spread.first:.3f} and {spread.fifth:.3f} (squared l2 {squared})"

        return (
            f"distances of the first and the fifth hit, over {self.queries} parts of passages as queries: base "
            f"{both(self.base)}, native {both(self.native)}, kept {both(self.kept)}"
        )


@dataclass(frozen=True)
class Probe:
    """Parts taken out of their passages, as queries, and the passages without them."""

    queries: list[str]
    passages: list[str]


def probe_of(texts: Sequence[str], avoid: Sequence[str] = (), seed: int = 0) -> Probe:
    """Return queries and passages drawn from a corpus.

    Args:
        texts: its passages.
        avoid: nothing is taken that is near to one of these (a test's questions).
        seed: of the draw.

    Raises:
        DataError: fewer than ten passages are long enough to ask for a part of them.
    """
    dice = random.Random(seed)
    queries: list[str] = []
    passages: list[str] = []
    for text in dice.sample(list(texts), min(PASSAGES, len(texts))):
        parted = _part(text, dice) if len(queries) < _QUERIES else None
        if parted:
            queries.append(parted[0])
        passages.append(parted[1] if parted else text)
    near = {pair.left for pair in near_duplicates(queries, list(avoid))} if avoid else set()
    queries = [query for place, query in enumerate(queries) if place not in near]
    if len(queries) < _FEWEST:
        raise DataError(
            f"only {len(queries)} passages are long enough to ask for a part of them, too few to see where distances "
            "lie. Give more chunks, or keep the model's own distances (`distances: native`, --distances native)."
        )
    return Probe(queries, passages)


def _part(text: str, dice: random.Random) -> tuple[str, str] | None:
    """Return a sentence of a passage and the passage without it; of one sentence its halves; None: it is too short."""
    units = sentences(text)
    usable = [unit for unit in units if _FEWEST_WORDS <= len(spoken(text[unit.start : unit.end])) <= _MOST_WORDS]
    if len(units) > 1 and usable:
        unit = dice.choice(usable)
        return text[unit.start : unit.end], f"{text[: unit.start]}{text[unit.end :]}".strip()
    words = spoken(text)
    half = min(len(words) // 2, _MOST_WORDS)
    return (run_together(words[:half]), run_together(words[half:])) if half >= _FEWEST_WORDS else None


class Probed(NamedTuple):
    """The vectors of a probe's queries and passages."""

    queries: Vectors
    passages: Vectors


def probed(embedder: FineTunedEmbedder, probe: Probe) -> Probed:
    """Return what an embedder makes of a probe."""
    return Probed(embedder.encode(probe.queries, role="query"), embedder.encode(probe.passages, role="document"))


def joined(joiner: Joiner | None, dense: Probed, probe: Probe) -> Probed:
    """Return the vectors of a probe with words joined to them."""
    if joiner is None:
        return dense
    return Probed(
        joiner.join(dense.queries, probe.queries, "query"), joiner.join(dense.passages, probe.passages, "document")
    )


def fit_level(base: Probed, native: Probed) -> tuple[Level, Levels]:
    """Return the level that brings the first hits of `native` as near as those of `base`, and how near all come.

    The first, for real questions lie nearer to their answers than a probe's parts do to their passages, and the others
    then come out right (docs/lexical.md).
    """
    wanted, found = _cosines(base), _cosines(native)
    level = level_between(found[:, 0], wanted[:, 0])
    kept = _cosines(Probed(level.apply(native.queries, "query"), level.apply(native.passages, "document")))
    return level, Levels(_spread(wanted), _spread(found), _spread(kept), len(wanted))


def _cosines(vectors: Probed) -> Vectors:
    """Return the cosines of each query to what it finds first and fifth, (queries, 2)."""
    ranked = -np.sort(-(vectors.queries @ vectors.passages.T), axis=1)
    return np.stack([ranked[:, 0], ranked[:, min(_FOUND, ranked.shape[1]) - 1]], axis=1)


def _spread(cosines: Vectors) -> Spread:
    first, fifth = cosines.mean(axis=0)
    return Spread(float(first), float(fifth))
