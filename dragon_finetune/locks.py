"""One process at a time where two would lose or repeat each other's work."""

import contextlib
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from dragon_finetune.errors import BusyError, DataError
from dragon_finetune.files import absolute

_QUIET_SECONDS = 1.0  # a wait that nobody need be told of
_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10))}
_TAKEN = frozenset(_DEVICES if os.name == "nt" else ())


@contextlib.contextmanager
def held(path: Path | str, *, wait: bool) -> Iterator[None]:
    """Hold the lock of what is written at `path` (a file or a folder) while the block runs.

    The lock is the system's: it goes with its holder, however that ends.

    Args:
        path: what is written; the lock file lies beside it, hidden.
        wait: wait for another holder, saying so on stderr once; else refuse.

    Raises:
        BusyError: another process holds it and `wait` is off; names that process.
        DataError: the lock can't be written, or Windows keeps a name in the path for a device; names the path.
    """
    path = absolute(path)
    if taken := [part for part in path.parts if part.partition(".")[0].strip().lower() in _TAKEN]:
        raise DataError(f"{path}: Windows keeps the name {taken[0]} for a device. Choose another one.")
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=_QUIET_SECONDS if wait else 0)
    except Timeout:
        holder = _holder(lock)
        if not wait:
            raise BusyError(
                f"{path} is being written by another process ({holder}). Wait until it has ended, then run the same "
                "command again, or choose another place."
            ) from None
        print(f"waiting for another process ({holder}) that writes {path}", file=sys.stderr, flush=True)
        lock.acquire()
    except OSError as error:
        raise DataError(f"{path} can't be written ({error.strerror or error}). Choose another place.") from error
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
