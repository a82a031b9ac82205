"""Training batches without padding: rows sorted by length and run through the model in slices of a token budget."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from sentence_transformers import SentenceTransformer

from dragon_finetune.tokens.batching import TokenBatcher

_PER_ROW = ("input_ids", "attention_mask", "token_type_ids")


@contextmanager
def sorted_slices(model: SentenceTransformer, max_tokens: int) -> Iterator[None]:
    """Let `model.forward` split each batch into slices of similar length, at most `max_tokens` padded tokens each.

    The vectors and their gradients are those of the whole batch, apart from dropout's dice; only the padding is not
    computed. Batches whose features are not plain token ids go through untouched.
    """
    plain = model.forward
    batcher = TokenBatcher(max_tokens)

    def forward(features: dict[str, Any], **options: Any) -> dict[str, Any]:
        if not _can_be_sliced(features):
            return plain(features, **options)
        lengths = features["attention_mask"].sum(dim=1).tolist()
        batches = batcher.batches(lengths)
        vectors = [
            plain(_slice(features, list(rows), lengths[rows[0]]), **options)["sentence_embedding"] for rows in batches
        ]
        order = torch.tensor([row for rows in batches for row in rows], device=vectors[0].device)
        back = torch.empty_like(order)
        back[order] = torch.arange(len(order), device=order.device)
        return {**features, "sentence_embedding": torch.cat(vectors)[back]}

    model.forward = forward  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        del model.forward


def _can_be_sliced(features: dict[str, Any]) -> bool:
    mask = features.get("attention_mask")
    if not isinstance(mask, torch.Tensor) or mask.ndim != 2 or "input_ids" not in features:
        return False
    # Cutting off the columns to the right is only right where padding stands there.
    return bool((mask[:, 1:] <= mask[:, :-1]).all())


def _slice(features: dict[str, Any], rows: list[int], longest: int) -> dict[str, Any]:
    return {name: value[rows, :longest] if name in _PER_ROW else value for name, value in features.items()}
