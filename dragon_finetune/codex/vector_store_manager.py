"""Generation A's VectorStoreManager, exchanged for ours in memory."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from dragon_finetune.codex.caller import role_of_caller
from dragon_finetune.codex.made import our_embedder
from dragon_finetune.codex.refusals import reported


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
        with reported():
            return embedder.embed_chunks(list(texts), batch_size, show_progress, prefix=role_of_caller(module.__name__))

    def embed_quietly(embedder: Any, texts: Any, *_: Any, **__: Any) -> Any:
        return embed(embedder, texts, show_progress=False)

    ours_else("embed_chunks", embed)
    ours_else("embed_batch", embed)
    ours_else("embed_texts", embed_quietly)
    ours_else("embed_batch_parallel", embed_quietly)
    ours_else("test_connection", lambda embedder: bool(embedder.test_connection()))
