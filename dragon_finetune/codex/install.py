"""Puts our embedder and chunker in the place of a host's own, as soon as its modules are imported."""

import os
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

from dragon_finetune.codex.config_source import static_attribute
from dragon_finetune.codex.generation_a import replace_chunking_a, replace_embedding_a
from dragon_finetune.codex.generation_b import replace_chunking_b, replace_embedding_b
from dragon_finetune.codex.made import chunker_wanted, lock, made
from dragon_finetune.codex.modules import CHUNKING_A, CHUNKING_B, EMBEDDING_A, EMBEDDING_B, OURS, PACKAGES
from dragon_finetune.codex.switch import chosen

Replace = Callable[[Any], None]


def install() -> None:
    """Exchange the host's functions as soon as their modules are imported, or now if they are. Twice does no harm."""
    from wrapt.importer import register_post_import_hook

    with lock:
        if made.get("installed"):
            return
        for package in PACKAGES:
            for name, wanted, replace in _EXCHANGES:
                register_post_import_hook(_or_stop(replace, wanted), package + name)
        made["installed"] = True


def _embedder_wanted() -> bool:
    # The host's Config may say so only after this module was imported.
    return chosen()[0] != "host" or static_attribute("EMBEDDER") in OURS


_EXCHANGES: tuple[tuple[str, Callable[[], bool], Replace], ...] = (
    (EMBEDDING_A, _embedder_wanted, replace_embedding_a),
    (EMBEDDING_B, _embedder_wanted, replace_embedding_b),
    (CHUNKING_A, chunker_wanted, replace_chunking_a),
    (CHUNKING_B, chunker_wanted, replace_chunking_b),
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
