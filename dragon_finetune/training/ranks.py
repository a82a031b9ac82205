"""Processes that train one model together (torchrun, accelerate launch): the first decides, and all are told."""

import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from functools import cached_property
from typing import Any, TypeVar

import torch
from torch import distributed

from dragon_finetune.errors import DragonFinetuneError, SettingsError, StoppedError
from dragon_finetune.processes import processes_together

T = TypeVar("T")
# The first process judges and publishes while the others wait, which may take hours; a dead one is noticed at once.
_PATIENCE = timedelta(days=7)


def world_size() -> int:
    """Return how many processes train together, as far as they have met (`Ranks`)."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


class Ranks:
    """The processes of this run, of which the first reads the pairs, judges, and writes.

    Args:
        cpu: train on the CPU, whatever else is at hand.
    """

    def __init__(self, cpu: bool) -> None:
        self.count, self.rank = 1, 0
        if processes_together() > 1:
            from accelerate import PartialState

            PartialState(cpu=cpu or not torch.accelerator.is_available())
            self.count, self.rank = distributed.get_world_size(), distributed.get_rank()

    @property
    def first(self) -> bool:
        """Whether this is the process that reads, judges and writes."""
        return self.rank == 0

    @cached_property
    def _group(self) -> Any:
        return distributed.new_group(backend="gloo", timeout=_PATIENCE)

    def told(self, make: Callable[[], T]) -> T:
        """Return in every process what `make` returns in the first, which alone calls it; the others wait.

        Raises:
            DragonFinetuneError: what it raised there.
            StoppedError: that process has ended.
        """
        if self.count == 1:
            return make()
        said: list[Any] = [None, None]
        if self.first:
            try:
                said[0] = make()
            except DragonFinetuneError as error:
                said[1] = error
        with self.together():
            distributed.broadcast_object_list(said, src=0, group=self._group)
        if said[1] is not None:
            raise said[1]
        value: T = said[0]
        return value

    def require_alike(self, known: Callable[[], Mapping[str, Any]]) -> None:
        """Raise SettingsError, in every process, where one of them has been given something else than the first."""
        if self.count == 1:
            return
        all_of_them: list[Any] = [None] * self.count
        with self.together():
            distributed.all_gather_object(all_of_them, (socket.gethostname(), dict(known())), group=self._group)
        (first_host, first), *others = all_of_them
        for rank, (host, other) in enumerate(others, 1):
            if names := sorted(name for name in {*first, *other} if first.get(name) != other.get(name)):
                raise SettingsError(
                    f"the processes of this run differ in {names[0]}: {first.get(names[0])!r} in the first (on "
                    f"{first_host}), {other.get(names[0])!r} in number {rank} (on {host}). Start all with the same "
                    "command, settings and base model."
                )

    @contextmanager
    def together(self) -> Iterator[None]:
        """Say of an error of the block that is another process's end what it is, and how to go on.

        Raises:
            StoppedError: another process has ended.
        """
        try:
            yield
        except RuntimeError as error:
            if self.count == 1 or not _is_of_another(error):
                raise
            raise StoppedError(
                f"process {self.rank} of {self.count}: another process of this run has ended "
                f"({str(error).splitlines()[0]:.200}). Look for its error; then run the same command again to go on "
                "from the last checkpoint (torchrun --max-restarts does)."
            ) from error


def _is_of_another(error: RuntimeError) -> bool:
    # gloo has no class of its own for this.
    return isinstance(error, distributed.DistError) or "gloo" in str(error).lower() or "by peer" in str(error)
