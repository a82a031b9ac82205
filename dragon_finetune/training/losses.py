"""The ranking loss over in-batch negatives, at every trained dimension."""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import (
    CachedGISTEmbedLoss,
    CachedMultipleNegativesRankingLoss,
    GISTEmbedLoss,
    MatryoshkaLoss,
    MultipleNegativesRankingLoss,
)

from dragon_finetune.errors import SettingsError
from dragon_finetune.training.config import CACHED_FROM, TrainingConfig
from dragon_finetune.training.precision import slice_tokens


def make_loss(model: SentenceTransformer, config: TrainingConfig) -> MatryoshkaLoss:
    """Return the ranking loss over in-batch negatives, gathered across devices, inside MatryoshkaLoss."""
    scale = 1 / config.temperature
    several = torch.distributed.is_available() and torch.distributed.is_initialized()
    cached = config.batch_size >= CACHED_FROM
    tokens: dict[str, Any] = {"mini_batch_num_tokens": slice_tokens(config, model.device)} if cached else {}
    loss: torch.nn.Module
    if config.false_negative_margin is not None:
        guided = CachedGISTEmbedLoss if cached else GISTEmbedLoss
        loss = guided(
            model,
            # The base as it is before training: a copy, which stays.
            guide=copy.deepcopy(model).eval().requires_grad_(False),
            temperature=config.temperature,
            margin_strategy="relative",
            margin=config.false_negative_margin,
            contrast_anchors=False,
            contrast_positives=False,
            gather_across_devices=several,
            **tokens,
        )
    else:
        plain = CachedMultipleNegativesRankingLoss if cached else MultipleNegativesRankingLoss
        loss = plain(model, scale=scale, gather_across_devices=several, **tokens)
    return MatryoshkaLoss(model, loss, matryoshka_dims(model, config.matryoshka_dims))


def matryoshka_dims(model: SentenceTransformer, wanted: Sequence[int]) -> list[int]:
    """Return the dimensions to train as vectors, largest first: the full one and the `wanted`."""
    full = model.get_embedding_dimension()
    assert full is not None
    if wanted and max(wanted) > full:
        raise SettingsError(f"matryoshka_dims has {max(wanted)}, but the model's vectors have {full}. Lower it.")
    return [full, *sorted({dim for dim in wanted if dim < full}, reverse=True)]
