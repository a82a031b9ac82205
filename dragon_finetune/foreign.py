"""Running code that is somebody else's: whatever ends it is told, and what it prints stays out of our output."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout

from dragon_finetune.errors import DragonFinetuneError, PluginError

_LONGEST = 500  # characters of what an error says of itself


@contextmanager
def foreign() -> Iterator[None]:
    """Run a plugin's code: what it prints goes to stderr, and nothing that it raises ends the host without a word.

    Raises:
        PluginError: anything was raised, `sys.exit` included; our own errors and the person's Ctrl-C pass unchanged.
    """
    try:
        with redirect_stdout(sys.stderr):
            yield
    except (KeyboardInterrupt, DragonFinetuneError):
        raise
    except BaseException as error:
        raise PluginError(told(error)) from error


def told(error: BaseException) -> str:
    """Return an error's type and words, whatever its author made of them."""
    try:
        words = str(error)
    except Exception:
        words = "it does not say why"
    return f"{type(error).__name__}: {words}"[:_LONGEST]
