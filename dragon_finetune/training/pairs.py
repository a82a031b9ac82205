"""Training pairs: read from whatever the user has, split so that nothing leaks, handed to the trainer as a Dataset."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dragon_finetune.errors import DataError
from dragon_finetune.evaluation.overlap import NEAR, jaccard, near_duplicates, plain, words
from dragon_finetune.records import Pair, as_pair, read_jsonl

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict


GENERAL = "general"
"""The `source` of pairs from outside the domain."""
GROUP_KEYS = ("positive_chunk_id", "original_question_id")
"""Metadata that tells from which document or question a pair was made."""
ASKED_FROM = "query_chunk_id"
"""Metadata: the chunk that a query's words are from, where that is not the positive."""
_REASONS = (
    "duplicate pairs",
    "near-duplicate pairs",
    "queries equal to their passage",
    "negatives that are positives",
)


def read_pairs(source: "Iterable[Any] | str | Path") -> list[Pair]:
    """Return pairs from a JSON-lines file, a list of dicts, Pairs or legacy InputExamples, or a Hugging Face Dataset.

    Raises:
        DataError: a pair without query or positive, or with an empty text; no pair at all. Names file and line.
    """
    if isinstance(source, (str, Path)):
        pairs = [as_pair(record, f"{source}, line {number}") for number, record in read_jsonl(source)]
    else:
        pairs = [as_pair(item, f"pair {index}") for index, item in enumerate(source)]
    if not pairs:
        raise DataError(f"{source if isinstance(source, (str, Path)) else 'the input'} holds no pairs.")
    return pairs


def clean_pairs(pairs: Sequence[Pair]) -> tuple[list[Pair], dict[str, int]]:
    """Return the pairs without what would teach the wrong thing, and how much was left out, by reason.

    Left out: a pair whose query and positive another has too, apart from case, punctuation and spaces, or nearly
    (`evaluation.overlap.NEAR`); a pair whose query is its positive; a negative that is, exactly or nearly, a positive
    of the same query.
    """
    dropped = dict.fromkeys(_REASONS, 0)
    right: dict[str, list[frozenset[str]]] = {}
    for pair in pairs:
        right.setdefault(plain(pair.query), []).append(words(pair.positive))
    seen: set[tuple[str, str]] = set()
    kept = []
    for pair in pairs:
        key = (plain(pair.query), plain(pair.positive))
        if key in seen:
            dropped["duplicate pairs"] += 1
        elif key[0] == key[1]:
            dropped["queries equal to their passage"] += 1
        else:
            seen.add(key)
            positives = right[key[0]]
            negatives = tuple(text for text in pair.negatives if not _is_near(text, positives))
            dropped["negatives that are positives"] += len(pair.negatives) - len(negatives)
            kept.append(replace(pair, negatives=negatives))
    distinct = _without_near(kept)
    dropped["near-duplicate pairs"] = len(kept) - len(distinct)
    return distinct, dropped


def _is_near(text: str, others: Sequence[frozenset[str]]) -> bool:
    return any(jaccard(words(text), other) >= NEAR for other in others)


def _without_near(pairs: list[Pair]) -> list[Pair]:
    queries = [pair.query for pair in pairs]
    gone: set[int] = set()
    for near in near_duplicates(queries, queries):
        # The earlier of two is kept, unless it has gone itself.
        if near.left < near.right and near.left not in gone and near.right not in gone:
            one, two = (words(pairs[index].positive) for index in (near.left, near.right))
            if jaccard(one, two) >= NEAR:
                gone.add(near.right)
    return [pair for index, pair in enumerate(pairs) if index not in gone]


def split_pairs(pairs: Sequence[Pair], validation_share: float, seed: int) -> tuple[list[Pair], list[Pair]]:
    """Return (training, validation) pairs that share no query, no positive and no source document.

    Pairs that share a query or a positive, exactly or nearly, or one of `GROUP_KEYS` in their metadata, directly or
    through others, form a group and stay together. Per `source`, groups are drawn in random order until
    `validation_share` of its pairs is reached; no group that would take it beyond twice that share is drawn. The source
    "general" is never held back.
    """
    groups = _groups(pairs)
    sources: dict[Any, str] = {}
    for pair, group in zip(pairs, groups.tolist(), strict=True):
        sources.setdefault(group, str(pair.metadata.get("source", "")))
    sizes = np.bincount(groups)
    order = np.random.default_rng(seed).permutation(len(sizes)).tolist()
    held_back: set[int] = set()
    for source in sorted(set(sources.values()) - {GENERAL}):
        own = [group for group in order if sources[group] == source]
        wanted = round(sum(sizes[group] for group in own) * validation_share)
        taken = 0
        for group in own:
            if taken < wanted and taken + sizes[group] <= 2 * wanted:
                held_back.add(group)
                taken += int(sizes[group])
    training = [pair for pair, group in zip(pairs, groups.tolist(), strict=True) if group not in held_back]
    validation = [pair for pair, group in zip(pairs, groups.tolist(), strict=True) if group in held_back]
    return training, validation


def _groups(pairs: Sequence[Pair]) -> Any:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    owners: dict[tuple[str, str], int] = {}
    links = [
        (index, owners.setdefault((name, str(value)), index))
        for index, pair in enumerate(pairs)
        for name, value in (("query", pair.query), ("positive", pair.positive), *_documents(pair))
    ]
    for texts in ([pair.query for pair in pairs], [pair.positive for pair in pairs]):
        first: dict[str, int] = {}
        for index, text in enumerate(texts):
            first.setdefault(text, index)
        distinct, places = list(first), list(first.values())
        links += [(places[near.left], places[near.right]) for near in near_duplicates(distinct, distinct)]
    rows, columns = zip(*links, strict=True)
    graph = coo_array((np.ones(len(links)), (rows, columns)), shape=(len(pairs), len(pairs)))
    return connected_components(graph, directed=False)[1]


def _documents(pair: Pair) -> Iterator[tuple[str, Any]]:
    nested = pair.metadata.get("metadata")
    for holder in (pair.metadata, nested if isinstance(nested, Mapping) else {}):
        yield from ((key, holder[key]) for key in GROUP_KEYS if holder.get(key) is not None)


def asked_from(pairs: Sequence[Pair], among: Iterable[Pair]) -> list[set[str]]:
    """Return for each pair the passages that its query's words are from (`ASKED_FROM`), without its own positive.

    That passage would be the best answer of all to its own words; to rank it is not what such a pair teaches.

    Args:
        pairs: any pairs.
        among: pairs whose passages are looked through, by `positive_chunk_id` and `negative_chunk_ids`.
    """
    texts: dict[str, set[str]] = {}
    for pair in among:
        ids = [pair.metadata.get("positive_chunk_id"), *(pair.metadata.get("negative_chunk_ids") or ())]
        for identity, text in zip(ids, (pair.positive, *pair.negatives), strict=False):
            texts.setdefault(str(identity), set()).add(text)
    return [
        texts.get(str(pair.metadata[ASKED_FROM]), set()) - {pair.positive} if ASKED_FROM in pair.metadata else set()
        for pair in pairs
    ]


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


def to_datasets(pairs: Iterable[Pair], rows: Sequence[Sequence[Pair]] = ()) -> "Dataset | DatasetDict":
    """Return the pairs as a Dataset with the columns query, positive, negative_1, ....

    The losses want the same columns in every row, so pairs with different numbers of negatives become one Dataset
    each in a DatasetDict; nothing is dropped. Rows of several pairs with the same positive are Datasets of their own,
    with the further columns query_2, ... and label: the row's place in `rows`.
    """
    from datasets import Dataset, DatasetDict

    examples = [*(([pair], None) for pair in pairs), *((row, place) for place, row in enumerate(rows))]
    groups: dict[tuple[int, bool], list[tuple[Sequence[Pair], int | None]]] = {}
    for row, label in examples:
        groups.setdefault((len(row[0].negatives), label is not None), []).append((row, label))
    datasets = {
        f"{'labelled' if has_label else 'negatives'}_{count}": Dataset.from_dict(
            {
                "query": [row[0].query for row, _ in group],
                "positive": [row[0].positive for row, _ in group],
                **{f"negative_{n + 1}": [row[0].negatives[n] for row, _ in group] for n in range(count)},
                **{f"query_{n + 1}": [row[n].query for row, _ in group] for n in range(1, len(group[0][0]))},
                **({"label": [label for _, label in group]} if has_label else {}),
            }
        )
        for (count, has_label), group in sorted(groups.items())
    }
    return next(iter(datasets.values())) if len(datasets) == 1 else DatasetDict(datasets)


def data_hash(pairs: Sequence[Pair]) -> str:
    """Return a hash (32 hex digits, BLAKE2b) of the pairs' texts and their order."""
    digest = hashlib.blake2b(digest_size=16)
    for pair in pairs:
        digest.update(json.dumps([pair.query, pair.positive, pair.negatives]).encode() + b"\n")
    return digest.hexdigest()
