"""The chunkers of generations A and B, exchanged for ours in memory; C has none to exchange."""

from functools import wraps
from typing import Any

from dragon_finetune.codex.made import LazyChunker, chunker_wanted


def replace_chunking_a(module: Any) -> None:
    """Let the host's two chunking functions be our chunker, where the switch says so; LookupError: another form."""
    if not chunker_wanted():
        return
    if not hasattr(module, "split_into_paragraphs"):
        raise LookupError("it has no split_into_paragraphs")
    chunker = LazyChunker()
    module.split_into_paragraphs = lambda text: chunker(text)
    module.split_paragraph_into_chunks = lambda paragraph: [paragraph]


def replace_chunking_b(module: Any) -> None:
    """Let `get_chunker` of the host's module give our chunker, where the switch or the strategy says so.

    Raises:
        LookupError: the module has another form.
    """
    plain = getattr(module, "get_chunker", None)
    if plain is None:
        raise LookupError("it has no get_chunker")

    @wraps(plain)
    def get_chunker(strategy: Any, *arguments: Any, **options: Any) -> Any:
        if strategy == "token_aware" or chunker_wanted():
            return LazyChunker()
        return plain(strategy, *arguments, **options)

    module.get_chunker = get_chunker
