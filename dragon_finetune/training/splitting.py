"""Pairs split into training and validation so that nothing leaks."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dragon_finetune.overlap import near_duplicates
from dragon_finetune.pair import GENERAL, QUESTION, Pair, documents_of


def split_pairs(
    pairs: Sequence[Pair],
    validation_share: float,
    seed: int,
    *,
    most: int | None = None,
    able: Callable[[Pair], bool] = lambda pair: True,
) -> tuple[list[Pair], list[Pair]]:
    """Return (training, validation) pairs that share no query, no positive and no source document.

    Pairs that share a query or a positive, exactly or nearly, or one of `GROUP_KEYS` in their metadata, directly or
    through others, form a group and stay together. Per `source`, groups are drawn in random order until
    `validation_share` of its pairs, at most `most`, is reached; no group that would take it beyond twice that number is
    drawn. A group with a pair that is not `able`, and the source "general", are never held back. Where not half of the
    wanted number can be held back so, as when every passage answers many queries, groups are by queries and
    `original_question_id` alone: new queries over known passages.
    """
    wanted = min(validation_share * sum(map(able, pairs)), len(pairs) if most is None else most)
    for passages in (True, False):
        groups = _groups(pairs, passages=passages)
        held_back = _drawn(pairs, groups, validation_share, seed, most, able)
        if sum(group in held_back for group in groups.tolist()) >= wanted / 2:
            break
    training = [pair for pair, group in zip(pairs, groups.tolist(), strict=True) if group not in held_back]
    validation = [pair for pair, group in zip(pairs, groups.tolist(), strict=True) if group in held_back]
    return training, validation


def _drawn(
    pairs: Sequence[Pair], groups: Any, share: float, seed: int, most: int | None, able: Callable[[Pair], bool]
) -> set[int]:
    sources: dict[Any, str] = {}
    for pair, group in zip(pairs, groups.tolist(), strict=True):
        sources.setdefault(group, str(pair.metadata.get("source", "")))
    barred = {group for pair, group in zip(pairs, groups.tolist(), strict=True) if not able(pair)}
    sizes = np.bincount(groups)
    order = np.random.default_rng(seed).permutation(len(sizes)).tolist()
    held_back: set[int] = set()
    for source in sorted(set(sources.values()) - {GENERAL}):
        own = [group for group in order if sources[group] == source and group not in barred]
        wanted = min(round(sum(sizes[group] for group in own) * share), len(pairs) if most is None else most)
        taken = 0
        for group in own:
            if taken < wanted and taken + sizes[group] <= 2 * wanted:
                held_back.add(group)
                taken += int(sizes[group])
    return held_back


def _groups(pairs: Sequence[Pair], *, passages: bool) -> Any:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    owners: dict[tuple[str, str], int] = {}
    links = [
        (index, owners.setdefault((name, str(value)), index))
        for index, pair in enumerate(pairs)
        for name, value in (
            ("query", pair.query),
            *(each for each in (("positive", pair.positive), *documents_of(pair)) if passages or each[0] == QUESTION),
        )
    ]
    for texts in ([pair.query for pair in pairs], *([[pair.positive for pair in pairs]] if passages else [])):
        first: dict[str, int] = {}
        for index, text in enumerate(texts):
            first.setdefault(text, index)
        distinct, places = list(first), list(first.values())
        links += [(places[near.left], places[near.right]) for near in near_duplicates(distinct, distinct)]
    rows, columns = zip(*links, strict=True)
    graph = coo_array((np.ones(len(links)), (rows, columns)), shape=(len(pairs), len(pairs)))
    return connected_components(graph, directed=False)[1]
