"""The seam between Dragon's Codex and its plugins: markers, hook specifications, and what a factory must build."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Protocol, runtime_checkable

import pluggy

PROJECT = "dragons_codex"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@runtime_checkable
class Embedder(Protocol):
    """Turns texts into vectors. Vectors come back in the order of the texts."""

    def embed_chunks(
        self,
        texts: Sequence[str],
        batch_size: int = 100,
        show_progress: bool = True,
        prefix: str | None = None,
    ) -> tuple[list[list[float]], float, int, timedelta]: ...

    def embed_query(self, text: str) -> list[float]: ...

    def embed_documents(self, texts: Sequence[str]) -> list[list[float]]: ...

    def test_connection(self) -> bool: ...


@runtime_checkable
class Chunker(Protocol):
    """Cuts a text into pieces; called like a function, as the host's own chunkers are."""

    def __call__(self, text: str) -> list[str]: ...


@runtime_checkable
class Trainer(Protocol):
    """Trains an embedding model on pairs and says where it lies."""

    def train(self, pairs: Any) -> Any: ...


Config = Mapping[str, Any]
EmbedderFactory = Callable[[Config], Embedder]
ChunkerFactory = Callable[[Config], Chunker]
TrainerFactory = Callable[[Config], Trainer]


@hookspec
def codex_embedders() -> Mapping[str, EmbedderFactory]:  # type: ignore[empty-body]
    """Return the embedders this plugin offers: name -> factory, called with the host's whole configuration.

    Building one must be cheap: hosts build several per run and may never use them.
    """


@hookspec
def codex_chunkers() -> Mapping[str, ChunkerFactory]:  # type: ignore[empty-body]
    """Return the chunkers this plugin offers: name -> factory, called with the host's whole configuration."""


@hookspec
def codex_trainers() -> Mapping[str, TrainerFactory]:  # type: ignore[empty-body]
    """Return the trainers this plugin offers: name -> factory, called with the host's whole configuration."""
