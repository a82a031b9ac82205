"""Training pairs: read from whatever the user has, split so that nothing leaks, handed to the trainer as a Dataset."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dragon_finetune.errors import DataError
from dragon_finetune.records import Pair, as_pair, read_jsonl

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict


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


def split_pairs(pairs: Sequence[Pair], validation_share: float, seed: int) -> tuple[list[Pair], list[Pair]]:
    """Return (training, validation) pairs that share no query and no positive.

    Pairs that share a query or a positive, directly or through others, form a group and stay together. Groups are
    drawn in random order until `validation_share` of the pairs is reached; no group that would take validation
    beyond twice that share is drawn.
    """
    wanted = round(len(pairs) * validation_share)
    groups = _groups(pairs)
    order = np.random.default_rng(seed).permutation(groups.max() + 1)
    sizes = np.bincount(groups)
    held_back: set[int] = set()
    taken = 0
    for group in order.tolist():
        if taken >= wanted:
            break
        if taken + sizes[group] <= 2 * wanted:
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
        (index, owners.setdefault((name, text), index))
        for index, pair in enumerate(pairs)
        for name, text in (("query", pair.query), ("positive", pair.positive))
    ]
    rows, columns = zip(*links, strict=True)
    graph = coo_array((np.ones(len(links)), (rows, columns)), shape=(len(pairs), len(pairs)))
    return connected_components(graph, directed=False)[1]


def to_datasets(pairs: Sequence[Pair]) -> "Dataset | DatasetDict":
    """Return the pairs as a Dataset with the columns query, positive, negative_1, ....

    The losses want the same columns in every row, so pairs with different numbers of negatives become one Dataset
    each in a DatasetDict; nothing is dropped.
    """
    from datasets import Dataset, DatasetDict

    by_negatives: dict[int, list[Pair]] = {}
    for pair in pairs:
        by_negatives.setdefault(len(pair.negatives), []).append(pair)
    datasets = {
        f"negatives_{count}": Dataset.from_dict(
            {
                "query": [pair.query for pair in group],
                "positive": [pair.positive for pair in group],
                **{f"negative_{n + 1}": [pair.negatives[n] for pair in group] for n in range(count)},
            }
        )
        for count, group in sorted(by_negatives.items())
    }
    return next(iter(datasets.values())) if len(datasets) == 1 else DatasetDict(datasets)


def data_hash(pairs: Sequence[Pair]) -> str:
    """Return a hash (32 hex digits, BLAKE2b) of the pairs' texts and their order."""
    digest = hashlib.blake2b(digest_size=16)
    for pair in pairs:
        digest.update(json.dumps([pair.query, pair.positive, pair.negatives]).encode() + b"\n")
    return digest.hexdigest()
