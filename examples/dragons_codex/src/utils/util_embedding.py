"""Which embedder runs: the codex's own, or whatever a plugin offers under the name in codex.yaml.

The codex knows no plugin by name. It declares its hook and asks every installed package that answers to
`dragons_codex`; its own embedder goes through the same hook.
"""

import hashlib
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from importlib.metadata import entry_points
from typing import Any

import numpy as np
import pluggy

PROJECT = "dragons_codex"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class Hooks:
    """What the codex asks of a plugin."""

    @hookspec
    def codex_embedders(self) -> Mapping[str, Callable[[Mapping[str, Any]], Any]]:
        """Return name -> factory(config)."""
        return {}


class HashedWords:
    """The codex's own embedder: every word hashed into one of 512 places. It needs no model and knows no meaning."""

    def embed_chunks(
        self, texts: Sequence[str], batch_size: int = 100, show_progress: bool = True, prefix: str | None = None
    ) -> tuple[list[list[float]], float, int, timedelta]:
        """Return vectors, mean words, most words, elapsed time."""
        started = time.perf_counter()
        words = [re.findall(r"\w+", text.lower()) for text in texts]
        vectors = np.zeros((len(texts), 512), dtype=np.float32)
        for row, found in zip(vectors, words, strict=True):
            for word in found or [""]:
                row[int.from_bytes(hashlib.blake2b(word.encode(), digest_size=2).digest(), "big") % 512] += 1
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        counts = [len(found) for found in words]
        elapsed = timedelta(seconds=max(time.perf_counter() - started, 1e-6))
        return vectors.tolist(), sum(counts) / len(counts), max(counts), elapsed

    def embed_query(self, text: str) -> list[float]:
        """Return the vector of one question."""
        return self.embed_chunks([text])[0][0]

    def test_connection(self) -> bool:
        """There is nothing to connect to."""
        return True


class OwnEmbedders:
    """The codex's own answer to its hook."""

    @hookimpl
    def codex_embedders(self) -> Mapping[str, Callable[[Mapping[str, Any]], Any]]:
        """Offer the embedder that runs when codex.yaml says `host` or nothing."""
        return {"host": lambda config: HashedWords()}


def find_embedders() -> dict[str, Callable[[Mapping[str, Any]], Any]]:
    """Return every embedder on offer; a plugin that fails is named on stderr and skipped."""
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(Hooks)
    manager.register(OwnEmbedders(), name="the codex")
    for entry in entry_points(group=PROJECT):
        try:
            manager.register(entry.load(), name=entry.name)
        except Exception as error:
            print(f"plugin {entry.name} skipped: {type(error).__name__}: {error}", file=sys.stderr)
    offered: dict[str, Callable[[Mapping[str, Any]], Any]] = {}
    for implementation in manager.hook.codex_embedders.get_hookimpls():
        try:
            offered.update(implementation.function())
        except Exception as error:
            print(f"plugin {implementation.plugin_name} skipped: {type(error).__name__}: {error}", file=sys.stderr)
    return offered


def create_embedder(config: Mapping[str, Any]) -> Any:
    """Return the embedder that codex.yaml names; exits naming the known ones if there is none of that name."""
    name = config.get("embedder", "host")
    offered = find_embedders()
    if name not in offered:
        raise SystemExit(f"codex.yaml: no embedder {name!r}. Known: {', '.join(sorted(offered))}.")
    return offered[name](config)
