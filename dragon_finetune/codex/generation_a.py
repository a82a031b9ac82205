"""Generation A's functions, exchanged for ours in memory."""

import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from dragon_finetune.codex.made import LazyChunker, chunker_wanted, our_embedder


def replace_embedding_a(module: Any) -> None:
    """Let `VectorStoreManager` of the host's module embed by ours, where the switch says so.

    Raises:
        LookupError: the module has another form.
    """
    manager = getattr(module, "VectorStoreManager", None)
    if not isinstance(manager, type) or not hasattr(manager, "embed_texts"):
        raise LookupError("it has no class VectorStoreManager with embed_texts")

    def ours_else(name: str, answer: Callable[..., Any]) -> None:
        plain = getattr(manager, name, None)
        if plain is None:
            return

        @wraps(plain)
        def method(self: Any, *arguments: Any, **options: Any) -> Any:
            embedder = our_embedder()
            if embedder is None:
                return plain(self, *arguments, **options)
            return answer(embedder, *arguments, **options)

        setattr(manager, name, method)

    def embed(embedder: Any, texts: Any, batch_size: int = 100, show_progress: bool = True, **_: Any) -> Any:
        return embedder.embed_chunks(list(texts), batch_size, show_progress, prefix=role_of_caller(module.__name__))

    def embed_quietly(embedder: Any, texts: Any, *_: Any, **__: Any) -> Any:
        return embedder.embed_chunks(list(texts), 100, False, prefix=role_of_caller(module.__name__))

    ours_else("embed_chunks", embed)
    ours_else("embed_batch", embed)
    ours_else("embed_texts", embed_quietly)
    ours_else("embed_batch_parallel", embed_quietly)
    ours_else("test_connection", lambda embedder: bool(embedder.test_connection()))


def role_of_caller(host_module: str) -> str:
    """Return "search_query" when a retriever's module called, else "search_document".

    The number of texts tells nothing: a file's last batch may hold one (HOST_CONTRACT 10).
    """
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__") in (__name__, host_module):
        frame = frame.f_back
    names = frame.f_globals
    spec = names.get("__spec__")
    said = f"{names.get('__name__', '')} {getattr(spec, 'name', '')} {Path(str(names.get('__file__', ''))).name}"
    return "search_query" if "retriev" in said.lower() else "search_document"


def replace_chunking_a(module: Any) -> None:
    """Let the host's two chunking functions be our chunker, where the switch says so; LookupError: another form."""
    if not chunker_wanted():
        return
    if not hasattr(module, "split_into_paragraphs"):
        raise LookupError("it has no split_into_paragraphs")
    chunker = LazyChunker()
    module.split_into_paragraphs = lambda text: chunker(text)
    module.split_paragraph_into_chunks = lambda paragraph: [paragraph]
