"""Distilled pairs as rows: several queries of the same passage are one example."""

import itertools
from collections.abc import Iterable, Sequence

from dragon_finetune.pair import Pair
from dragon_finetune.pairs.sources import HYBRID

QUERIES = 4
"""Queries per row. A query costs a twentieth of a passage, and what is asked of the same passages shares them."""
Row = Sequence[Pair]
"""Pairs with the same positive, `QUERIES` of them, where there are fewer some twice; trained as one example."""


def is_distilled(pair: Pair) -> bool:
    """Tell whether a pair was labelled by a search, so that the search's whole ranking can be asked for."""
    return str(pair.metadata.get("source")) == HYBRID


def rows_of(pairs: Iterable[Pair]) -> tuple[list[Row], list[Pair]]:
    """Return the distilled pairs as rows, and the others; of a row's negatives only its first pair's are used."""
    by_positive: dict[str, list[Pair]] = {}
    others = []
    for pair in pairs:
        if is_distilled(pair):
            by_positive.setdefault(pair.positive, []).append(pair)
        else:
            others.append(pair)
    parts = [same[start : start + QUERIES] for same in by_positive.values() for start in range(0, len(same), QUERIES)]
    return [list(itertools.islice(itertools.cycle(part), QUERIES)) for part in parts], others


def examples(pairs: Iterable[Pair]) -> int:
    """Return how many examples the pairs make."""
    rows, others = rows_of(pairs)
    return len(rows) + len(others)
