"""Puts our embedder and chunker in the place of a host's own, as soon as its modules are imported."""

import os
import sys
import warnings
from collections.abc import Callable
from functools import wraps
from typing import Any

from dragon_finetune.codex.chunkers import replace_chunking_a, replace_chunking_b
from dragon_finetune.codex.factories import replace_factory, replace_settings
from dragon_finetune.codex.made import chunker_wanted, lock, made
from dragon_finetune.codex.modules import CHUNKING_A, CHUNKING_B, CONFIG, EMBEDDING_A, FACTORY, PACKAGES, factories
from dragon_finetune.codex.refusals import remind_at_exit
from dragon_finetune.codex.switch import chosen
from dragon_finetune.codex.vector_store_manager import replace_embedding_a

Replace = Callable[[Any], None]


def install(*, checked: bool = False) -> None:
    """Exchange the host's functions as soon as their modules are imported, or now if they are. Twice does no harm.

    Args:
        checked: whether misspelt settings have been named already, as `run` does before the host starts.
    """
    from wrapt.importer import register_post_import_hook

    with lock:
        if made.get("installed"):
            return
        if checked:
            warnings.filterwarnings("ignore", module=r"dragon_finetune\.settings")
        remind_at_exit()
        for factory in {*factories(), *(package + FACTORY for package in PACKAGES)}:
            register_post_import_hook(_or_stop(replace_factory, _embedder_wanted), factory)
        for package in PACKAGES:
            for name, wanted, replace in _EXCHANGES:
                register_post_import_hook(_or_stop(replace, wanted), package + name)
        made["installed"] = True


def _embedder_wanted() -> bool:
    return chosen().embedder != "host"


_EXCHANGES: tuple[tuple[str, Callable[[], bool], Replace], ...] = (
    (EMBEDDING_A, _embedder_wanted, replace_embedding_a),
    (CHUNKING_A, chunker_wanted, replace_chunking_a),
    (CHUNKING_B, chunker_wanted, replace_chunking_b),
    *((name, _embedder_wanted, replace_settings) for name in CONFIG),
)


def _or_stop(replace: Replace, wanted: Callable[[], bool]) -> Replace:
    """Return the exchange, which ends the process where it fails: a host may catch what its import raises and go on."""

    @wraps(replace)
    def exchange(module: Any) -> None:
        try:
            replace(module)
        except Exception as error:
            if _is_true_or_unknown(wanted):
                _stop(module.__name__, error)

    return exchange


def _is_true_or_unknown(wanted: Callable[[], bool]) -> bool:
    try:
        return wanted()
    except Exception:  # a switch that can't be read may have named ours
        return True


def _stop(module: str, error: Exception) -> None:
    try:
        if sys.stdout:
            sys.stdout.flush()
        print(
            f"error: dragon-finetune: {module} can't be given what the switch names ({type(error).__name__}: {error}), "
            "and the host would use its own. Stopped. Set EMBEDDER=host and CHUNKER=host to run it without.",
            file=sys.stderr,
            flush=True,
        )
    finally:
        os._exit(3)
