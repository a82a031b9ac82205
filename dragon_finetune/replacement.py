"""Puts our embedder and chunker in the place of a host's own, in a Dragon's Codex without a plugin manager.

Nothing of the host is edited: when one of its modules has been imported, its functions are exchanged in memory. Which
part runs is decided at the first call, from the host's own settings; `host` runs the host's functions untouched.
"""

import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

# Where each generation keeps what is replaced (HOST_CONTRACT 0), also for hosts started inside `src`.
_PACKAGES = ("src.utils.", "utils.")
EMBEDDING_A = "util_embedding"
CHUNKING_A = "util_chunking_functions"
EMBEDDING_B = "embedding.embedding_factory"
CHUNKING_B = "chunking.chunking_strategies"
CONFIG = ("config", "util_config", "config.config")
_OURS = ("base", "finetuned")
_OPTIONS = ("EMBEDDER", "CHUNKER", "BASE_", "FINETUNED_")
_PREFIXES_B = {
    "RAW_EMBEDDING_PREFIX": None,
    "SEARCH_EMBEDDING_PREFIX": "search_query",
    "DOCUMENT_EMBEDDING_PREFIX": "search_document",
}

_lock = threading.RLock()
_made: dict[str, Any] = {}


def install() -> None:
    """Exchange the host's functions as soon as their modules are imported, or now if they are. Twice does no harm."""
    from wrapt.importer import register_post_import_hook

    with _lock:
        if _made.setdefault("installed", False):
            return
        _made["installed"] = True
    for package in _PACKAGES:
        register_post_import_hook(_replace_embedding_a, package + EMBEDDING_A)
        register_post_import_hook(_replace_embedding_b, package + EMBEDDING_B)
        register_post_import_hook(_replace_chunking_a, package + CHUNKING_A)
        register_post_import_hook(_replace_chunking_b, package + CHUNKING_B)


def read_config() -> dict[str, Any]:
    """Return the host's settings that concern us: codex.yaml, under what its Config object says."""
    from dragon_finetune.settings import read_yaml

    file = Path("codex.yaml")
    config = read_yaml(file) if file.is_file() else {}
    for name in ("embedder", "chunker"):
        value = config_attribute(name.upper())
        if isinstance(value, str) and value:
            config[name] = value
    manager = config_attribute("EMBEDDING_MANAGER")
    if manager in _OURS and "EMBEDDER" not in _said_by_config():
        config["embedder"] = manager
    model = config_attribute("EMBEDDING_MODEL")
    finetuned = dict(config.get("finetuned") or {})
    if isinstance(model, str) and not finetuned.get("model_path") and Path(model).is_dir():
        config["finetuned"] = {**finetuned, "model_path": model}
    return config


def _said_by_config() -> list[str]:
    return ["EMBEDDER"] if config_attribute("EMBEDDER") else []


def config_attribute(name: str) -> Any:
    """Return an attribute of the host's Config, if its module is loaded; None otherwise."""
    for package in _PACKAGES:
        for module_name in CONFIG:
            module = sys.modules.get(package + module_name)
            if module is None:
                continue
            holder = getattr(module, "Config", None)
            for owner in (getattr(holder, "_instance", None), holder, module):
                value = getattr(owner, name, None)
                if value is not None:
                    return value
    return None


@contextmanager
def host_order() -> Iterator[None]:
    """Let `.env` beat the environment for our keys, as the host itself does it, while settings are read."""
    from dotenv import dotenv_values

    said = dotenv_values(".env", encoding="utf-8") if Path(".env").is_file() else {}
    ours = {name: value for name, value in said.items() if value is not None and name.upper().startswith(_OPTIONS)}
    before = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def chosen() -> tuple[str, str | None]:
    """Return what the switch says: the embedder ("host" if nothing does) and the chunker (None if nothing does)."""
    from dragon_finetune.settings import read_switch

    with host_order():
        switch = read_switch(read_config())
    return switch.embedder, switch.chunker


def _embedder() -> Any:
    """Return our embedder, or None where the host's own is to run. Decided once per process."""
    with _lock:
        if "embedder" not in _made:
            from dragon_finetune.host import create_embedder

            name, _ = chosen()
            with host_order():
                _made["embedder"] = None if name == "host" else create_embedder(read_config(), name=name)
    return _made["embedder"]


def _chunker_wanted() -> bool:
    return chosen()[1] not in (None, "host")


class _LazyChunker:
    """A chunker that is built at its first text: hosts ask for theirs at import."""

    def __call__(self, text: str) -> list[str]:
        if not text.strip():
            return []
        with _lock:
            if "chunker" not in _made:
                from dragon_finetune.host import create_chunker

                name, chunker = chosen()
                with host_order():
                    config = {**read_config(), "embedder": name if name != "host" else "base"}
                    _made["chunker"] = create_chunker(config, name=chunker if chunker != "host" else None)
        pieces: list[str] = _made["chunker"](text)
        return pieces


def _replace_embedding_a(module: Any) -> None:
    manager = getattr(module, "VectorStoreManager", None)
    if not isinstance(manager, type):
        return

    def ours_else(name: str, answer: Callable[..., Any]) -> None:
        plain = getattr(manager, name, None)
        if plain is None:
            return

        @wraps(plain)
        def method(self: Any, *arguments: Any, **options: Any) -> Any:
            embedder = _embedder()
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


def _replace_embedding_b(module: Any) -> None:
    registry = getattr(module, "EMBEDDING_MANAGERS", None)
    if not isinstance(registry, dict):
        return
    for name, plain in list(registry.items()):
        registry[name] = _manager_or(plain)
    for name in _OURS:
        registry.setdefault(name, _manager_or(None))
    look_up = getattr(module, "get_embedding_manager_config", None)
    if callable(look_up):
        module.get_embedding_manager_config = _config_or(look_up)


def _manager_or(plain: Any) -> Callable[[Any], Any]:
    def build(config_dict: Any = None) -> Any:
        embedder = _embedder()
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
            if not {*arguments, *options.values()} & set(_OURS):
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


def _replace_chunking_a(module: Any) -> None:
    if not hasattr(module, "split_into_paragraphs") or not _chunker_wanted():
        return
    chunker = _LazyChunker()
    module.split_into_paragraphs = lambda text: chunker(text)
    module.split_paragraph_into_chunks = lambda paragraph: [paragraph]


def _replace_chunking_b(module: Any) -> None:
    plain = getattr(module, "get_chunker", None)
    if plain is None:
        return

    @wraps(plain)
    def get_chunker(strategy: Any, *arguments: Any, **options: Any) -> Any:
        if strategy == "token_aware" or _chunker_wanted():
            return _LazyChunker()
        return plain(strategy, *arguments, **options)

    module.get_chunker = get_chunker
