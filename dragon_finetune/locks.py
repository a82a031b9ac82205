"""One process at a time where two would lose or repeat each other's work."""

import contextlib
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from dragon_finetune.errors import BusyError
from dragon_finetune.files import absolute


@contextlib.contextmanager
def held(path: Path | str, *, wait: bool) -> Iterator[None]:
    """Hold the lock of what is written at `path` (a file or a folder) while the block runs.

    The lock is the system's: it goes with its holder, however that ends.

    Args:
        path: what is written; the lock file lies beside it, hidden.
        wait: wait for another holder, saying so on stderr once; else refuse.

    Raises:
        BusyError: another process holds it and `wait` is off; names that process.
    """
    path = absolute(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        holder = _holder(lock)
        if not wait:
            raise BusyError(
                f"{path} is being written by another process ({holder}). Wait until it has ended, then run the same "
                "command again, or choose another place."
            ) from None
        print(f"waiting for another process ({holder}) that writes {path}", file=sys.stderr, flush=True)
        lock.acquire()
    try:
        _sign(lock)
        yield
    finally:
        lock.release()


def _sign(lock: FileLock) -> None:
    # For people; Windows lets nobody write into a locked file.
    with contextlib.suppress(OSError):
        Path(lock.lock_file).write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")


def _holder(lock: FileLock) -> str:
    with contextlib.suppress(OSError):
        return Path(lock.lock_file).read_text(encoding="utf-8") or "unknown"
    return "unknown"
