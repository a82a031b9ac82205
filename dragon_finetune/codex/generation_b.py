"""Generation B's registry and functions, exchanged for ours in memory."""

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from dragon_finetune.codex.made import LazyChunker, chunker_wanted, our_embedder
from dragon_finetune.codex.modules import OURS

_PREFIXES_B = {
    "RAW_EMBEDDING_PREFIX": None,
    "SEARCH_EMBEDDING_PREFIX": "search_query",
    "DOCUMENT_EMBEDDING_PREFIX": "search_document",
}


def replace_embedding_b(module: Any) -> None:
    """Put ours into the host's registry of managers, under its names and our own; LookupError: another form."""
    registry = getattr(module, "EMBEDDING_MANAGERS", None)
    if not isinstance(registry, dict):
        raise LookupError("it has no registry EMBEDDING_MANAGERS")
    for name, plain in list(registry.items()):
        registry[name] = _manager_or(plain)
    for name in OURS:
        registry.setdefault(name, _manager_or(None))
    look_up = getattr(module, "get_embedding_manager_config", None)
    if callable(look_up):
        module.get_embedding_manager_config = _config_or(look_up)


def _manager_or(plain: Any) -> Callable[[Any], Any]:
    def build(config_dict: Any = None) -> Any:
        embedder = our_embedder()
        if embedder is not None:
            return Manager(embedder, config_dict)
        if plain is None:
            raise ValueError("The switch says `host`, whose own embedder has another name. Set EMBEDDER=finetuned.")
        return plain(config_dict)

    return build


def _config_or(look_up: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(look_up)
    def get(*arguments: Any, **options: Any) -> Any:
        try:
            return look_up(*arguments, **options)
        except (ValueError, KeyError):
            if not {*arguments, *options.values()} & set(OURS):
                raise
            return {}

    return get


class Manager:
    """Our embedder in the form of generation B's managers (HOST_CONTRACT 2)."""

    def __init__(self, embedder: Any, config_dict: Mapping[str, Any] | None) -> None:
        self._embedder = embedder
        given = dict(config_dict or {})
        model = given.get("EMBEDDING_MODEL")
        model = {**_PREFIXES_B, **model} if isinstance(model, Mapping) else dict(_PREFIXES_B)
        self.config_dict = {"EMBEDDING_BATCH_SIZE": 32, **given, "EMBEDDING_MODEL": model}

    def test_connection(self) -> bool:
        """Tell whether the model loads."""
        return bool(self._embedder.test_connection())

    def get_manager_config(self) -> dict[str, Any]:
        """Return the host's own dict, completed where a caller reads it."""
        return self.config_dict

    def embed_chunks(self, texts: Any, show_progress: bool = True, prefix: str | None = None) -> Any:
        """Return (vectors, mean tokens, most tokens, elapsed); `prefix` chooses the model's own prompt."""
        return self._embedder.embed_chunks(list(texts), show_progress=show_progress, prefix=prefix)


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
