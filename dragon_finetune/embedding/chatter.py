"""What the libraries below say on stderr of their own accord, kept off it."""

import logging
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_OURS_TO_KEEP_QUIET = ("", "error")  # of TRANSFORMERS_VERBOSITY; whoever asks for more gets it
_MISSING = re.compile(r"^(\S+)\s*\|\s*(?:\x1b\[[\d;]*m)?MISSING", re.MULTILINE)
# sentence-transformers takes the hidden states; many models are saved without these.
_UNUSED = re.compile(r"(^|\.)pooler\.")


@contextmanager
def libraries_quiet() -> Iterator[list[str]]:
    """Keep transformers' warnings off stderr, and its bars if that is no terminal; yield what was kept off."""
    import transformers

    bars = transformers.utils.logging
    hide = bars.is_progress_bar_enabled() and not (sys.stderr is not None and sys.stderr.isatty())
    if hide:
        bars.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        with _log_kept() as said:
            yield said
    finally:
        if hide:
            bars.enable_progress_bar()  # type: ignore[no-untyped-call]


@contextmanager
def _log_kept() -> Iterator[list[str]]:
    said: list[str] = []
    logger = logging.getLogger("transformers")
    if os.environ.get("TRANSFORMERS_VERBOSITY", "").lower() not in _OURS_TO_KEEP_QUIET:
        yield said
        return

    def keep(record: logging.LogRecord) -> bool:
        if record.levelno >= logging.ERROR:
            return True
        said.append(record.getMessage())
        return False

    level, handlers, propagate = logger.level, list(logger.handlers), logger.propagate
    logger.setLevel(min(level, logging.WARNING))
    # Where CI is set, transformers hands its words on to the root as well, which OpenVINO gives a handler.
    logger.propagate = False
    for handler in handlers:
        handler.addFilter(keep)
    try:
        yield said
    finally:
        logger.setLevel(level)
        logger.propagate = propagate
        for handler in handlers:
            handler.removeFilter(keep)


def missing_weights(said: list[str]) -> list[str]:
    """Return the names of the weights that a model needs and that its files lack, as its load report says."""
    return [name for message in said for name in _MISSING.findall(message) if not _UNUSED.search(name)]
