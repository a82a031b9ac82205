"""One fit on SentenceTransformerTrainer: arguments, loss, batches without padding."""

import copy
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset, DatasetDict
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.base.sampler import BatchSamplers
from sentence_transformers.sentence_transformer.losses import (
    CachedGISTEmbedLoss,
    CachedMultipleNegativesRankingLoss,
    GISTEmbedLoss,
    MatryoshkaLoss,
    MultipleNegativesRankingLoss,
)
from transformers import PrinterCallback, TrainerCallback

from dragon_finetune.embedding.model import library_bars_quiet
from dragon_finetune.errors import SettingsError
from dragon_finetune.records import Pair
from dragon_finetune.tokens.folder import Prompts
from dragon_finetune.training.callbacks import BarCallback
from dragon_finetune.training.config import CACHED_FROM, TrainingConfig
from dragon_finetune.training.distillation import QUERIES, DistillationLoss, Row, Teacher, rows_of
from dragon_finetune.training.pairs import to_datasets
from dragon_finetune.training.sorting import sorted_slices
from dragon_finetune.training.validation import embed_texts

_MATRYOSHKA = (512, 256, 128, 64)


def fit(
    model: SentenceTransformer,
    config: TrainingConfig,
    prompts: Prompts,
    training: Sequence[Pair],
    checkpoints: Path,
    callbacks: Sequence[TrainerCallback],
    checkpoint: Path | None,
) -> None:
    """Train `model` in place, from `checkpoint` if there is one.

    Raises:
        SettingsError: Matryoshka dimensions beyond the model's.
    """
    if config.dropout is not None:
        _set_dropout(model, config.dropout)
    # Else sentence-transformers picks examples for a page we do not write, with a bar of its own.
    model.model_card_data.widget = [{"text": "none"}]
    rows, pairs = rows_of(training)
    datasets = to_datasets(pairs, rows)
    trainer = SentenceTransformerTrainer(
        model=model,
        args=_arguments(model, config, prompts, checkpoints, training),
        train_dataset=datasets,
        loss=_losses(model, config, prompts, rows, datasets),
        callbacks=[BarCallback(), *callbacks],
    )
    trainer.remove_callback(PrinterCallback)  # it prints to stdout, which belongs to --json
    with library_bars_quiet(), sorted_slices(model, slice_tokens(config, model.device)):
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)


def _losses(
    model: SentenceTransformer,
    config: TrainingConfig,
    prompts: Prompts,
    rows: Sequence[Row],
    datasets: Dataset | DatasetDict,
) -> torch.nn.Module | dict[str, torch.nn.Module]:
    """Return the loss of the Dataset, or one for each of several: those with labels are distilled."""
    several = datasets if isinstance(datasets, DatasetDict) else {"": datasets}
    labelled = {name: "label" in dataset.column_names for name, dataset in several.items()}
    made: dict[bool, torch.nn.Module] = {}
    if True in labelled.values():
        made[True] = DistillationLoss(
            model,
            # The base as it is before training.
            Teacher(rows, partial(embed_texts, model, prompts, precision=pick_precision(config, model.device))),
            dims=matryoshka_dims(model, config.matryoshka_dims or ()),
            cached=config.batch_size >= CACHED_FROM,
            slice_tokens=slice_tokens(config, model.device),
        )
    if False in labelled.values():
        made[False] = make_loss(model, config)
    losses = {name: made[has_label] for name, has_label in labelled.items()}
    return losses if isinstance(datasets, DatasetDict) else losses[""]


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


def _set_dropout(model: SentenceTransformer, probability: float) -> None:
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = probability
        # In attention it is a plain number in many architectures, read at each forward pass.
        for name, value in vars(module).items():
            if "dropout" in name and isinstance(value, float):
                setattr(module, name, probability)


def slice_tokens(config: TrainingConfig, device: torch.device) -> int:
    """Return the padded tokens that go through the model at once."""
    return config.slice_tokens or (1024 if device.type == "cpu" else 32768)


def matryoshka_dims(model: SentenceTransformer, wanted: Sequence[int] | None) -> list[int]:
    """Return the dimensions to train as vectors, largest first: the full one and the `wanted` (default 512 to 64)."""
    full = model.get_embedding_dimension()
    assert full is not None
    if wanted and max(wanted) > full:
        raise SettingsError(f"matryoshka_dims has {max(wanted)}, but the model's vectors have {full}. Lower it.")
    return [full, *sorted({dim for dim in (_MATRYOSHKA if wanted is None else wanted) if dim < full}, reverse=True)]


def pick_precision(config: TrainingConfig, device: torch.device) -> str:
    """Return "bf16" where the device computes it natively, else "fp16" on CUDA, else "fp32"; or what was asked for."""
    if config.precision != "auto":
        return config.precision
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    if device.type == "cpu":
        capabilities = torch.cpu.get_capabilities()
        return "bf16" if capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") else "fp32"
    return "fp32"


def _arguments(
    model: SentenceTransformer, config: TrainingConfig, prompts: Prompts, checkpoints: Path, training: Sequence[Pair]
) -> SentenceTransformerTrainingArguments:
    precision = pick_precision(config, model.device)
    # The collator knows only these prompts, so they are given for every column: what is trained on is then
    # token for token what is embedded later.
    negatives = max(len(pair.negatives) for pair in training)
    queries = ["query", *(f"query_{n + 1}" for n in range(1, QUERIES))]
    columns = ["positive", *(f"negative_{n + 1}" for n in range(negatives))]
    return SentenceTransformerTrainingArguments(
        output_dir=str(checkpoints),
        num_train_epochs=config.epochs,
        max_steps=config.max_steps or -1,
        learning_rate=config.learning_rate,
        warmup_steps=config.warmup,
        per_device_train_batch_size=config.batch_size,
        gradient_accumulation_steps=config.gradient_accumulation_steps,
        activation_checkpointing=config.gradient_checkpointing or None,
        batch_sampler=BatchSamplers.NO_DUPLICATES,
        prompts={**dict.fromkeys(queries, prompts.query), **dict.fromkeys(columns, prompts.document)},
        bf16=precision == "bf16",
        fp16=precision == "fp16",
        use_cpu=model.device.type == "cpu",
        save_steps=config.save_steps,
        save_total_limit=config.save_total_limit,
        logging_steps=config.logging_steps,
        logging_nan_inf_filter=False,  # a loss that is no number must be seen
        disable_tqdm=True,
        report_to=config.report_to,
        seed=config.seed,
        data_seed=config.seed,
        dataloader_pin_memory=model.device.type == "cuda",
    )
