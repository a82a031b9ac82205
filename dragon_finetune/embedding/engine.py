"""An engine turns one batch of texts into vectors; many batches come back in the order of the texts."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from dragon_finetune.model_folder import Role
from dragon_finetune.tokens.batching import TokenBatcher

Vectors = npt.NDArray[np.float32]


class Engine(Protocol):
    """Embeds batches; safe to share by threads. `name` says how ("torch-fp32"); `tokenizer` counts its tokens."""

    name: str

    @property
    def tokenizer(self) -> Any: ...

    @property
    def dimension(self) -> int: ...

    def embed(self, texts: Sequence[str], prompt: str, role: Role | None = None) -> Vectors:
        """Return unit vectors, (texts, dimension), of texts that are padded into one batch."""
        ...


def embed_sorted(
    engine: Engine,
    texts: Sequence[str],
    lengths: Sequence[int],
    prompt: str,
    batcher: TokenBatcher,
    bar: Any = None,
    *,
    role: Role | None = None,
) -> Vectors:
    """Return unit vectors, (texts, dimension), in the order of the texts, embedded in batches of like length.

    Args:
        engine: what embeds.
        texts: any number of texts.
        lengths: their tokens, prompt included, at most the limit.
        prompt: goes before each text.
        batcher: the budget of a batch.
        bar: a tqdm bar, moved by tokens.
        role: of the texts; a model of two encoders takes its own for each.
    """
    vectors = np.empty((len(texts), engine.dimension), dtype=np.float32)
    for batch in batcher.batches(lengths):
        rows = list(batch)
        vectors[rows] = engine.embed([texts[row] for row in rows], prompt, role)
        if bar is not None:
            bar.update(sum(lengths[row] for row in rows))
    return vectors
