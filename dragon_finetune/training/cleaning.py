"""Pairs that would teach the wrong thing, left out before training."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import product

from dragon_finetune.overlap import near_duplicates, plain
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
    wrong = _negatives_that_are_positives(pairs)
    kept: dict[tuple[str, str], Pair] = {}
    for pair in pairs:
        key = (plain(pair.query), plain(pair.positive))
        if key[0] == key[1]:
            dropped["queries equal to their passage"] += 1
            continue
        negatives = tuple(text for text in pair.negatives if (key[0], text) not in wrong)
        dropped["negatives that are positives"] += len(pair.negatives) - len(negatives)
        if key in kept:
            dropped["duplicate pairs"] += 1
            kept[key] = _with_more(kept[key], negatives)
        else:
            kept[key] = replace(pair, negatives=negatives)
    distinct = _without_near(kept)
    dropped["near-duplicate pairs"] = len(kept) - len(distinct)
    return distinct, dropped


def _negatives_that_are_positives(pairs: Sequence[Pair]) -> set[tuple[str, str]]:
    """Return (plain query, negative) of negatives that are, exactly or nearly, a positive of their query."""
    texts: dict[str, tuple[dict[str, None], dict[str, None]]] = defaultdict(lambda: ({}, {}))
    for pair in pairs:
        negatives, positives = texts[plain(pair.query)]
        negatives.update(dict.fromkeys(pair.negatives))
        positives[pair.positive] = None
    return {
        (query, left[near.left])
        for query, (negatives, positives) in texts.items()
        for left in [list(negatives)]
        for near in near_duplicates(left, list(positives))
    }


def _with_more(pair: Pair, negatives: Sequence[str]) -> Pair:
    return replace(pair, negatives=tuple(dict.fromkeys((*pair.negatives, *negatives))))


def _without_near(pairs: Mapping[tuple[str, str], Pair]) -> list[Pair]:
    """Return the pairs without those of which both texts are nearly an earlier one's."""
    kept = dict(pairs)
    order = {key: place for place, key in enumerate(pairs)}
    like_query, like_positive = (_near_texts({key[part] for key in pairs}) for part in (0, 1))
    for key in pairs:
        # The earlier of two is kept, unless it has gone itself.
        near = [other for other in product(like_query[key[0]], like_positive[key[1]]) if other in kept]
        for other in sorted(near, key=order.__getitem__):
            if key in kept and order[other] > order[key]:
                kept[key] = _with_more(kept[key], kept.pop(other).negatives)
    return list(kept.values())


def _near_texts(texts: Iterable[str]) -> dict[str, list[str]]:
    """Return each text with those that are nearly it, itself among them."""
    distinct = sorted(texts)
    near: dict[str, list[str]] = {text: [] for text in distinct}
    for pair in near_duplicates(distinct, distinct):
        near[distinct[pair.left]].append(distinct[pair.right])
    return near
