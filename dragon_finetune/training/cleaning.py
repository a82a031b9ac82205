"""Pairs that would teach the wrong thing, left out before training."""

from collections.abc import Sequence
from dataclasses import replace

from dragon_finetune.overlap import NEAR, jaccard, near_duplicates, plain, words
from dragon_finetune.pair import Pair

_REASONS = (
    "duplicate pairs",
    "near-duplicate pairs",
    "queries equal to their passage",
    "negatives that are positives",
)


def clean_pairs(pairs: Sequence[Pair]) -> tuple[list[Pair], dict[str, int]]:
    """Return the pairs without what would teach the wrong thing, and how much was left out, by reason.

    What is left out as a duplicate leaves its negatives to the one that stays: triplets come as a row per negative.
    Left out: a pair whose query and positive another has too, apart from case, punctuation and spaces, or nearly
    (`overlap.NEAR`); a pair whose query is its positive; a negative that is, exactly or nearly, a positive
    of the same query.
    """
    dropped = dict.fromkeys(_REASONS, 0)
    right: dict[str, list[frozenset[str]]] = {}
    for pair in pairs:
        right.setdefault(plain(pair.query), []).append(words(pair.positive))
    kept: dict[tuple[str, str], Pair] = {}
    for pair in pairs:
        key = (plain(pair.query), plain(pair.positive))
        if key[0] == key[1]:
            dropped["queries equal to their passage"] += 1
            continue
        positives = right[key[0]]
        negatives = tuple(text for text in pair.negatives if not _is_near(text, positives))
        dropped["negatives that are positives"] += len(pair.negatives) - len(negatives)
        if key in kept:
            dropped["duplicate pairs"] += 1
            kept[key] = _with_more(kept[key], negatives)
        else:
            kept[key] = replace(pair, negatives=negatives)
    distinct = _without_near(list(kept.values()))
    dropped["near-duplicate pairs"] = len(kept) - len(distinct)
    return distinct, dropped


def _is_near(text: str, others: Sequence[frozenset[str]]) -> bool:
    return any(jaccard(words(text), other) >= NEAR for other in others)


def _with_more(pair: Pair, negatives: Sequence[str]) -> Pair:
    return replace(pair, negatives=tuple(dict.fromkeys((*pair.negatives, *negatives))))


def _without_near(pairs: list[Pair]) -> list[Pair]:
    queries = [pair.query for pair in pairs]
    kept = dict(enumerate(pairs))
    for near in near_duplicates(queries, queries):
        # The earlier of two is kept, unless it has gone itself.
        if near.left < near.right and near.left in kept and near.right in kept:
            one, two = (words(pairs[index].positive) for index in (near.left, near.right))
            if jaccard(one, two) >= NEAR:
                kept[near.left] = _with_more(kept[near.left], kept.pop(near.right).negatives)
    return list(kept.values())
