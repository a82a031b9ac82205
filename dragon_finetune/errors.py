"""Every error this package raises on purpose, and the nearest known word for one that was misspelt."""

import difflib
from collections.abc import Iterable


class DragonFinetuneError(Exception):
    """Base of all errors of this package; the command line turns any of them into exit code 2."""


class DataError(DragonFinetuneError):
    """A text, pair, question or result that can't be used; names the file and line, or the item."""


class TokenLimitError(DataError):
    """Texts are longer than the model's limit and nobody asked for truncation by name."""


class SettingsError(DragonFinetuneError):
    """A setting has an unknown name or value; names the nearest known one."""


class ModelError(DragonFinetuneError):
    """A model folder is missing, incomplete, occupied, or not a sentence-transformers model."""


class StaleIndexError(DragonFinetuneError):
    """Stored vectors were made by another encoder than the one that would query them."""


class BusyError(DragonFinetuneError):
    """Another process writes where this one would; names it."""


class ClusterError(DragonFinetuneError):
    """A cluster does not answer, lacks what is asked of it, or failed; says what it said."""


class StoppedError(DragonFinetuneError):
    """A run was told to stop, and has saved what it had; says how to go on. The command line exits with 130."""


class NoPromiseError(DragonFinetuneError):
    """A first run does not show that a search is worth its hours; the command line exits with 1."""


class MissingExtraError(DragonFinetuneError, ImportError):
    """A package that only an extra brings is not installed; says how to install it."""


class PluginError(DragonFinetuneError):
    """A plugin name is unknown or claimed twice."""


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word most like `word`, or None when none is close."""
    return next(iter(difflib.get_close_matches(word.lower(), list(known), n=1, cutoff=0.75)), None)


def suggest(word: str, known: Iterable[str]) -> str:
    """Return the end of an error message about an unknown word: the nearest known one, then all of them."""
    names = sorted(known)
    near = next(iter(difflib.get_close_matches(word.lower(), names, n=1, cutoff=0.5)), None)
    guess = f"Did you mean {near!r}? " if near else ""
    return f"{guess}Known: {', '.join(names) or 'none'}."
