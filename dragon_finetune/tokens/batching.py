"""Batches within a token budget: padded size is rows x longest row, and padding is what one pays for nothing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from dragon_finetune.errors import SettingsError

T = TypeVar("T")


@dataclass(frozen=True)
class Batches:
    """Batches of row indices, longest rows first; every index occurs exactly once.

    Attributes:
        indices: one tuple of indices per batch.
        padded_tokens: tokens computed, padding included.
        real_tokens: tokens without padding.
    """

    indices: tuple[tuple[int, ...], ...]
    padded_tokens: int
    real_tokens: int

    @property
    def padding_share(self) -> float:
        """Share of computed tokens that is padding, 0 to 1."""
        return 1 - self.real_tokens / self.padded_tokens if self.padded_tokens else 0.0

    def __iter__(self) -> Iterator[tuple[int, ...]]:
        return iter(self.indices)

    def __len__(self) -> int:
        return len(self.indices)

    def undo(self, results: Sequence[T]) -> list[T]:
        """Return results, given in the order of the batches, in the order of the lengths.

        Raises:
            SettingsError: not one result per index.
        """
        order = [index for batch in self.indices for index in batch]
        if len(results) != len(order):
            raise SettingsError(f"{len(results)} results for {len(order)} rows; give one per row, batch after batch.")
        restored: list[T | None] = [None] * len(order)
        for index, result in zip(order, results, strict=True):
            restored[index] = result
        return restored  # type: ignore[return-value]


class TokenBatcher:
    """Groups rows into batches whose padded size (rows x longest row) stays within a budget.

    The grouping has the fewest batches the budget allows and, among those, the least padding: found exactly by
    dynamic programming over runs of rows sorted by length. Runs lose nothing: swapping rows between two batches until
    each is a run lengthens neither. Equal lengths keep their given order, so the result is deterministic.

    Args:
        max_tokens: the budget of one padded batch. A row longer than it makes a batch of its own.
        max_rows: rows per batch at most; default: no limit.

    Raises:
        SettingsError: a limit below 1.
    """

    def __init__(self, max_tokens: int, max_rows: int | None = None) -> None:
        if max_tokens < 1 or (max_rows is not None and max_rows < 1):
            raise SettingsError(f"max_tokens is {max_tokens} and max_rows {max_rows}; both must be at least 1.")
        self.max_tokens, self.max_rows = max_tokens, max_rows

    def batches(self, lengths: Sequence[int]) -> Batches:
        """Return batches for rows of these lengths in tokens.

        Raises:
            SettingsError: a negative length.
        """
        if lengths and min(lengths) < 0:
            raise SettingsError(f"length {min(lengths)} of row {list(lengths).index(min(lengths))} is negative.")
        order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
        runs = self._runs([lengths[index] for index in order])
        indices = tuple(tuple(order[start:end]) for start, end in runs)
        padded = sum(lengths[batch[0]] * len(batch) for batch in indices)
        return Batches(indices, padded, sum(lengths))

    def _capacity(self, longest: int) -> int:
        rows = max(1, self.max_tokens // max(longest, 1))
        return rows if self.max_rows is None else min(rows, self.max_rows)

    def _runs(self, lengths: list[int]) -> list[tuple[int, int]]:
        """Return the runs of the descending `lengths` with the least (number of batches, padded tokens)."""
        total = len(lengths)
        # One number orders both: a batch more always costs more than any padding.
        one_batch = (lengths[0] if lengths else 0) * total + 1
        cost = np.zeros(total + 1, dtype=np.int64)
        ends = np.zeros(total, dtype=np.int64)
        rows = np.arange(1, total + 1, dtype=np.int64)
        for start in range(total - 1, -1, -1):
            longest = lengths[start]
            reach = min(self._capacity(longest), total - start)
            choices = cost[start + 1 : start + 1 + reach] + longest * rows[:reach]
            best = int(choices.argmin())
            cost[start] = one_batch + choices[best]
            ends[start] = start + 1 + best
        runs: list[tuple[int, int]] = []
        start = 0
        while start < total:
            runs.append((start, int(ends[start])))
            start = int(ends[start])
        return runs
