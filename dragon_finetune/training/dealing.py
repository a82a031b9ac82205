"""Rows dealt out to processes that train together: none waits for a batch that another has not."""

from collections.abc import Iterator
from typing import Any

from sentence_transformers.base.sampler import NoDuplicatesBatchSampler
from torch import distributed


class DealtBatches(NoDuplicatesBatchSampler):
    """Batches of all processes together, without duplicates, of which each process takes an equal part.

    Every process makes the same batches from the same seed, so nobody need be asked. A batch that is not full is cut to
    a multiple of the number of processes: gathered vectors must be as many from each. What is cut off, fewer rows than
    processes, sits out this epoch; which rows they are is drawn anew in the next.

    Args:
        dataset: the rows of all.
        batch_size: rows per process.
        ranks: (number of this process, number of all); default: as torch.distributed has it.
        options: as sentence-transformers gives them.
    """

    def __init__(self, dataset: Any, batch_size: int, *, ranks: tuple[int, int] | None = None, **options: Any) -> None:
        self._rank, self._count = ranks or (distributed.get_rank(), distributed.get_world_size())
        # sentence-transformers drops the last batch of several processes, for it knows no short one that is even.
        super().__init__(dataset, batch_size=batch_size * self._count, **{**options, "drop_last": False})

    def __iter__(self) -> Iterator[list[int]]:
        """Yield this process's parts, each of as many rows as every other process's part of the same batch."""
        for batch in super().__iter__():
            if part := batch[self._rank : len(batch) - len(batch) % self._count : self._count]:
                yield part

    def __len__(self) -> int:
        """Return the number of batches of one process, which is that of each."""
        full, rest = divmod(len(self.dataset), self.batch_size)
        return full + (rest >= self._count)
