"""What long work says of itself: a bar where stderr is a terminal, else a line every half minute."""

import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm

QUIET = "DRAGON_FINETUNE_QUIET"
"""The environment's name for saying nothing of how far the work is."""
INTERVAL = 30.0
"""Seconds between two lines."""
_LINE = "{desc}: {n_fmt}/{total_fmt} [{elapsed}<{remaining}, {rate_fmt}{postfix}]"


def progress(
    items: Iterable[Any] | None = None,
    *,
    desc: str,
    unit: str,
    total: int | None = None,
    initial: int = 0,
    show: bool = True,
) -> Any:
    """Return a tqdm over `items`, or one that `update` moves; on a stderr that is no terminal, what acts like one.

    Args:
        items: what is gone through; None: the caller moves it.
        desc: what is done.
        unit: what is counted.
        total: how many there are; default: the length of `items`, if they have one.
        initial: how many are done already.
        show: say anything at all.
    """
    show = show and not _is_silent()
    if not show or sys.stderr.isatty():
        return tqdm(items, desc=desc, unit=unit, total=total, initial=initial, disable=not show)
    return _Spoken(items, desc, unit, total, initial)


def as_time(seconds: float) -> str:
    """Return "03:48" or "1:03:48"; at least a second."""
    return str(tqdm.format_interval(max(1, round(seconds))))


@contextmanager
def working(desc: str) -> Iterator[None]:
    """Say every half minute that this is being done and for how long, where nothing inside says more."""
    if _is_silent() or sys.stderr.isatty():
        yield
        return
    work = _Spoken(None, desc, "", None, 0)
    try:
        yield
    finally:
        work.close()


def _is_silent() -> bool:
    """Tell whether nobody listens, or wants to."""
    return sys.stderr is None or sys.stderr.closed or QUIET in os.environ


class _Spoken:
    """As much of tqdm as is used here, without a bar: a thread says how far it is."""

    def __init__(self, items: Iterable[Any] | None, desc: str, unit: str, total: int | None, initial: int) -> None:
        self.n = initial
        self._items, self._desc, self._unit, self._initial = items, desc, unit, initial
        self._total = total if total is not None or not hasattr(items, "__len__") else len(items)  # type: ignore[arg-type]
        self._postfix = ""
        self._started = time.monotonic()
        if items is None:  # else it begins with the first item, if it ever does
            _VOICE.speak_of(self)

    def __iter__(self) -> Iterator[Any]:
        _VOICE.speak_of(self)
        try:
            for item in self._items or ():
                yield item
                self.n += 1
        finally:
            self.close()

    def __enter__(self) -> "_Spoken":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def update(self, n: int = 1) -> None:
        self.n += n

    def set_postfix(self, **values: str) -> None:
        self._postfix = ", ".join(f"{name}={value}" for name, value in values.items())

    def close(self) -> None:
        _VOICE.be_silent_of(self)

    def __str__(self) -> str:
        elapsed = time.monotonic() - self._started
        if not self._unit:
            return f"{self._desc}: at work for {tqdm.format_interval(elapsed)}"
        return tqdm.format_meter(
            self.n,
            self._total,  # type: ignore[arg-type]
            elapsed,
            prefix=self._desc,
            unit=self._unit,
            postfix=self._postfix,
            initial=self._initial,
            bar_format=_LINE,
        )


class _Voice:
    """The thread that speaks of the innermost work, as long as there is any.

    A thread, and not the loop itself, for one step of a loop may take an hour.
    """

    def __init__(self) -> None:
        self._works: list[_Spoken] = []
        self._changing = threading.Lock()
        self._done = threading.Event()

    def speak_of(self, work: _Spoken) -> None:
        with self._changing:
            self._works.append(work)
            if len(self._works) == 1:
                self._done = threading.Event()
                threading.Thread(target=self._speak, args=(self._done,), name="progress", daemon=True).start()

    def be_silent_of(self, work: _Spoken) -> None:
        with self._changing:
            if work in self._works:
                self._works.remove(work)
            if not self._works:
                self._done.set()

    def _speak(self, done: threading.Event) -> None:
        while not done.wait(INTERVAL):
            with self._changing:
                line = str(self._works[-1]) if self._works else ""
            try:
                if line:
                    print(line, file=sys.stderr, flush=True)
            except (OSError, ValueError):  # nobody listens any more
                return


_VOICE = _Voice()
