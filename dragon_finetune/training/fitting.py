"""One fit on SentenceTransformerTrainer: arguments, loss, batches without padding."""

import sys
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate.data_loader import prepare_data_loader
from datasets import DatasetDict
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.base.sampler import BatchSamplers
from torch.utils.data import DataLoader
from transformers import PrinterCallback, TrainerCallback

from dragon_finetune.embedding.chatter import libraries_quiet
from dragon_finetune.embedding.routes import is_routed
from dragon_finetune.model_folder import Prompts
from dragon_finetune.training.bar import BarCallback
from dragon_finetune.training.config import CACHED_FROM, TrainingConfig
from dragon_finetune.training.datasets import Examples
from dragon_finetune.training.dealing import DealtBatches
from dragon_finetune.training.distillation import DistillationLoss
from dragon_finetune.training.losses import make_loss, matryoshka_dims
from dragon_finetune.training.precision import pick_precision, slice_tokens
from dragon_finetune.training.ranks import world_size
from dragon_finetune.training.room import saving_into
from dragon_finetune.training.rows import QUERIES
from dragon_finetune.training.sorting import sorted_slices
from dragon_finetune.training.stopping import StopCallback, stoppable
from dragon_finetune.training.teacher import Teacher
from dragon_finetune.training.validation import embed_texts


def fit(
    model: SentenceTransformer,
    config: TrainingConfig,
    prompts: Prompts,
    examples: Examples,
    checkpoints: Path,
    callbacks: Sequence[TrainerCallback],
    checkpoint: Path | None,
) -> None:
    """Train `model` in place, from `checkpoint` if there is one.

    Raises:
        SettingsError: Matryoshka dimensions beyond the model's.
        ModelError: a checkpoint can't be written.
        StoppedError: it was told to stop, and has saved a checkpoint; says how to go on.
    """
    if config.dropout is not None:
        _set_dropout(model, config.dropout)
    # Else sentence-transformers picks examples for a page we do not write, with a bar of its own.
    model.model_card_data.widget = [{"text": "none"}]
    stop, bar = StopCallback(), BarCallback()
    trainer = _WholeTrainer(
        model=model,
        args=_arguments(model, config, prompts, checkpoints, examples.negatives),
        train_dataset=examples.datasets,
        loss=_losses(model, config, prompts, examples),
        callbacks=[bar, stop, *callbacks],
    )
    trainer.remove_callback(PrinterCallback)  # it prints to stdout, which belongs to --json
    if checkpoint:
        print(f"going on from step {checkpoint.name.rpartition('-')[2]}", file=sys.stderr, flush=True)
    sorting = sorted_slices(model, slice_tokens(config, model.device))
    with stoppable(stop), libraries_quiet(), saving_into(checkpoints), sorting, closing(bar):
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)


class _WholeTrainer(SentenceTransformerTrainer):
    def _run_epoch(self, *given: Any, **named: Any) -> None:
        # A run that ends within an epoch and is gone on with after its last step would be given one step more.
        if self.state.global_step < self.state.max_steps:
            super()._run_epoch(*given, **named)  # type: ignore[no-untyped-call]
        else:
            self.control.should_training_stop = True

    def get_train_dataloader(self) -> DataLoader[Any]:
        if self.args.world_size == 1:
            plain: DataLoader[Any] = super().get_train_dataloader()
            return plain
        loader = self._build_dataloader(self.train_dataset, self.args.train_batch_size, dataset_kind="train")
        # Not dealt out a second time: accelerate deals whole batches, whose sizes and columns differ.
        dealt: DataLoader[Any] = prepare_data_loader(
            loader, self.args.device, num_processes=1, process_index=0, put_on_device=True
        )
        self._train_dataloader = dealt
        return dealt


def _losses(
    model: SentenceTransformer, config: TrainingConfig, prompts: Prompts, examples: Examples
) -> torch.nn.Module | dict[str, torch.nn.Module]:
    """Return the loss of the Dataset, or one for each of several: those with labels are distilled."""
    datasets = examples.datasets
    embed = partial(embed_texts, model, prompts, precision=pick_precision(config, model.device))
    several = datasets if isinstance(datasets, DatasetDict) else {"": datasets}
    labelled = {name: "label" in dataset.column_names for name, dataset in several.items()}
    made: dict[bool, torch.nn.Module] = {}
    if True in labelled.values():
        made[True] = DistillationLoss(
            model,
            # The base as it is before training.
            Teacher(examples.rows, embed),
            dims=matryoshka_dims(model, config.matryoshka_dims),
            cached=config.batch_size >= CACHED_FROM,
            slice_tokens=slice_tokens(config, model.device),
        )
    if False in labelled.values():
        made[False] = make_loss(model, config)
    losses = {name: made[has_label] for name, has_label in labelled.items()}
    return losses if isinstance(datasets, DatasetDict) else losses[""]


def _set_dropout(model: SentenceTransformer, probability: float) -> None:
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = probability
        # In attention it is a plain number in many architectures, read at each forward pass.
        for name, value in vars(module).items():
            if "dropout" in name and isinstance(value, float):
                setattr(module, name, probability)


def _arguments(
    model: SentenceTransformer, config: TrainingConfig, prompts: Prompts, checkpoints: Path, negatives: int
) -> SentenceTransformerTrainingArguments:
    precision = pick_precision(config, model.device)
    # The collator knows only these prompts, so they are given for every column: what is trained on is then
    # token for token what is embedded later.
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
        batch_sampler=BatchSamplers.NO_DUPLICATES if world_size() == 1 else DealtBatches,
        dataloader_drop_last=world_size() > 1,  # it would be set, with a warning; DealtBatches drops none
        prompts={**dict.fromkeys(queries, prompts.query), **dict.fromkeys(columns, prompts.document)},
        router_mapping={**dict.fromkeys(queries, "query"), **dict.fromkeys(columns, "document")}
        if is_routed(model)
        else None,
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
