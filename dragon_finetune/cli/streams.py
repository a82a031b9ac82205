"""Standard streams that somebody closed, or stops reading: what is printed is lost, the command is not."""

import errno
import io
import os
import sys
from typing import Any

# What Windows says of a pipe that nobody reads is the other one.
_GONE = (errno.EPIPE, errno.EINVAL) if os.name == "nt" else (errno.EPIPE,)


def make_patient() -> None:
    """Replace stdout and stderr by streams that go on into nothing where nobody reads (`| head`) or nothing is open.

    A command so ends with its own answer, and work that it has begun is done. A console of an old code page shows `?`
    for what it has not.
    """
    for number in (0, 1, 2):
        _open_if_closed(number)
    sys.stdout = _patient(sys.stdout, 1)
    sys.stderr = _patient(sys.stderr, 2)


def _open_if_closed(number: int) -> None:
    # Else the next file that is opened gets this number, and what a library prints goes into it. What is opened here is
    # not inherited: a host that `run` starts finds the stream closed, as it would without us.
    try:
        os.fstat(number)
    except OSError:
        opened = os.open(os.devnull, os.O_RDWR)
        if opened != number:
            os.dup2(opened, number, inheritable=False)
            os.close(opened)


def _patient(stream: Any, number: int) -> Any:
    if stream is not None and not _is_on(stream, number):
        return stream  # somebody's own, in this process
    raw = _Patient(number, "wb", closefd=False)
    unbuffered = stream is not None and stream.write_through
    return io.TextIOWrapper(
        raw if unbuffered else io.BufferedWriter(raw),
        encoding=stream.encoding if stream is not None else "utf-8",
        errors="replace",
        line_buffering=number == 2 or os.isatty(number),
        write_through=unbuffered,
    )


def _is_on(stream: Any, number: int) -> bool:
    try:
        stream.flush()
        return isinstance(stream, io.TextIOWrapper) and stream.fileno() == number
    except (OSError, ValueError):
        return False


class _Patient(io.FileIO):
    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if error.errno not in _GONE:
                raise
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, self.fileno())
            os.close(nothing)
            return len(data)
