"""What a call without a prefix is for, told by the module that makes it."""

import sys
from pathlib import Path

QUERY, DOCUMENT, RAW = "search_query", "search_document", ""


def role_of_caller(*between: str) -> str:
    """Return the prefix that stands for the calling module's texts.

    A retriever asks, a chunker compares raw sentences, everything else (the embedding script) stores documents. Only
    the last part of the module's name counts: the embedding script once was `src.retrieval.pass_17_embed_all_chunks`.
    The number of texts tells nothing: a file's last batch may hold one (HOST_CONTRACT 10, 11).

    Args:
        between: modules that pass the call on: the host's own, which holds the exchanged functions.
    """
    frame = sys._getframe(1)
    while frame.f_back is not None and _is_between(frame.f_globals.get("__name__", ""), between):
        frame = frame.f_back
    names = frame.f_globals
    spec = getattr(names.get("__spec__"), "name", None)
    said = spec or names.get("__name__", "")
    if said == "__main__":  # a script, run by its path
        said = Path(str(names.get("__file__", ""))).stem
    return _role_of(said.rpartition(".")[2].lower())


def _is_between(name: str, between: tuple[str, ...]) -> bool:
    return name in between or name.startswith("dragon_finetune.")


def _role_of(module: str) -> str:
    if "retriev" in module:
        return QUERY
    return RAW if "chunk" in module and "embed" not in module else DOCUMENT
