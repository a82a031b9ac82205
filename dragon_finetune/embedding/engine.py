"""An engine turns one batch of texts into vectors; many batches come back in the order of the texts."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from dragon_finetune.model_folder import Role
from dragon_finetune.tokens.batching import TokenBatcher

Vectors = npt.NDArray[np.float32]


class Engine(Protocol):
    """Embeds batches; safe to share by threads. `name` says how ("torch-fp32")."""

    name: str

    @property
    def dimension(self) -> int: ...

    def tokenizer_of(self, role: Role | None) -> Any:
        """Return what counts the tokens of texts in a role."""
        ...

    def embed(self, texts: Sequence[str], prompt: str, role: Role | None) -> Vectors:
        """Return unit vectors, (texts, dimension), of texts that are padded into one batch.

        Args:
            texts: any number of texts.
            prompt: goes before each.
            role: which way they go through a model that has several (a Router).
        """
        ...


def embed_sorted(
    engine: Engine,
    texts: Sequence[str],
    lengths: Sequence[int],
    prompt: str,
    batcher: TokenBatcher,
    *,
    role: Role | None,
    bar: Any = None,
) -> Vectors:
    """Return unit vectors, (texts, dimension), in the order of the texts, embedded in batches of like length.

    Args:
        engine: what embeds.
        texts: any number of texts.
        lengths: their tokens, prompt included, at most the limit.
        prompt: goes before each text.
        batcher: the budget of a batch.
        role: which way the texts go through a model that has several.
        bar: what says how far it is (`progress`), moved by tokens.
    """
    vectors = np.empty((len(texts), engine.dimension), dtype=np.float32)
    for batch in batcher.batches(lengths):
        rows = list(batch)
        vectors[rows] = engine.embed([texts[row] for row in rows], prompt, role)
        if bar is not None:
            bar.update(sum(lengths[row] for row in rows))
    return vectors
