"""What our embedder refused and a host may have swallowed: said at once, and once more when the process ends."""

import atexit
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from dragon_finetune.errors import DragonFinetuneError
from dragon_finetune.text import printable

_REFUSED = 2
_said: list[str] = []


@contextmanager
def reported() -> Iterator[None]:
    """Say on stderr what is refused in the block: generation C's chunker catches it and cuts by size instead."""
    try:
        yield
    except DragonFinetuneError as error:
        said = printable(str(error))
        if said not in _said:
            print(f"warning: dragon-finetune refused a call of the host: {said}", file=sys.stderr, flush=True)
            _said.append(said)
        raise


def remind_at_exit() -> None:
    """Let the process end with a word on what was refused, and not with 0, if the host went on all the same."""
    atexit.register(_remind)


def _remind() -> None:
    if not _said or isinstance(getattr(sys, "last_value", None), DragonFinetuneError):
        return
    print(
        f"warning: dragon-finetune refused {len(_said)} calls, and the host went on without them: what it made is not "
        f"what the switch asked for. The first: {_said[0]}",
        file=sys.stderr,
    )
    for stream in (sys.stdout, sys.stderr):
        if stream:
            stream.flush()
    # Registered before all others, so run after them: nothing of the host's is left to do.
    os._exit(_REFUSED)
