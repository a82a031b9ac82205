"""Pairs handed to the trainer as Datasets."""

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dragon_finetune.pair import ASKED_FROM, GROUP_KEYS, Pair, documents_of
from dragon_finetune.training.rows import Row, rows_of

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict


@dataclass(frozen=True)
class Examples:
    """What is trained on: rows of text in Arrow tables, and the distilled rows, which the teacher ranks for.

    Attributes:
        datasets: one Dataset, or one for each number of negatives (`to_datasets`).
        rows: distilled pairs, by the label in the Datasets.
    """

    datasets: "Dataset | DatasetDict"
    rows: "Sequence[Row]"

    @classmethod
    def of(cls, pairs: Iterable[Pair]) -> "Examples":
        """Return the examples that pairs make."""
        rows, others = rows_of(pairs)
        return cls(to_datasets(others, rows), rows)

    @property
    def negatives(self) -> int:
        """How many negatives the example with the most of them has."""
        return max(
            len([name for name in table.column_names if name.startswith("negative_")]) for table in self.tables()
        )

    def tables(self) -> "list[Dataset]":
        """Return the Datasets."""
        return [*self.datasets.values()] if isinstance(self.datasets, dict) else [self.datasets]

    def __len__(self) -> int:
        return sum(map(len, self.tables()))

    def put_down(self, folder: Path) -> None:
        """Write the tables into a folder, for every process to map into its memory."""
        shutil.rmtree(folder, ignore_errors=True)
        with _no_bars():
            self.datasets.save_to_disk(str(folder))

    @classmethod
    def mapped(cls, folder: Path, rows: "Sequence[Row]") -> "Examples":
        """Return the examples whose tables lie in a folder: texts stay on the disk until their turn comes."""
        from datasets import load_from_disk

        return cls(load_from_disk(str(folder)), rows)


@contextmanager
def _no_bars() -> Iterator[None]:
    from datasets import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    before = are_progress_bars_disabled()
    disable_progress_bars()
    try:
        yield
    finally:
        if not before:
            enable_progress_bars()


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
    """Return a hash (32 hex digits, BLAKE2b) of all that training reads of the pairs, and of their order.

    That is: their texts, their source, the documents that keep them together, and what their words are from.
    """
    digest = hashlib.blake2b(digest_size=16)
    for pair in pairs:
        read = {name: pair.metadata.get(name) for name in (*GROUP_KEYS, ASKED_FROM, "source", "negative_chunk_ids")}
        parts = [pair.query, pair.positive, pair.negatives, read, list(documents_of(pair))]
        digest.update(json.dumps(parts, default=str).encode() + b"\n")
    return digest.hexdigest()
