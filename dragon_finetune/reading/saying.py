"""What is said of a file that is read in another way than one would think."""

import sys
from pathlib import Path

from dragon_finetune.files import absolute
from dragon_finetune.text import printable

_SAID: set[tuple[str, str]] = set()  # files are read more than once: checked first, then used


def say_once(path: Path | str, how: str) -> None:
    """Say on stderr how a file was read, once in a process as long as it is the same."""
    said = (str(absolute(path)), how)
    if said not in _SAID and sys.stderr is not None:
        _SAID.add(said)
        print(printable(f"reading {path}: {how}"), file=sys.stderr, flush=True)
