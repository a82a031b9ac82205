"""The trainer: pairs in, a complete model folder out, on SentenceTransformerTrainer."""

from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.base.sampler import BatchSamplers
from sentence_transformers.sentence_transformer.losses import MatryoshkaLoss, MultipleNegativesRankingLoss
from transformers import PrinterCallback, TrainerCallback

from dragon_finetune.embedding.fingerprint import fingerprint
from dragon_finetune.embedding.model import library_bars_quiet, load_model
from dragon_finetune.errors import DataError, SettingsError
from dragon_finetune.records import Pair, write_text
from dragon_finetune.tokens.audit import TokenAudit, audit_tokens
from dragon_finetune.tokens.folder import ModelFolder
from dragon_finetune.training.callbacks import BarCallback, FinalStats, FinalStatsCallback
from dragon_finetune.training.config import TrainingConfig, TrainingResult
from dragon_finetune.training.output import OutputFolder
from dragon_finetune.training.pairs import data_hash, read_pairs, split_pairs, to_datasets
from dragon_finetune.training.validation import Validation

_MATRYOSHKA = (512, 256, 128, 64)


class FineTuner:
    """Trains an embedding model on pairs.

    Args:
        config: the settings.
        callbacks: further callbacks for the Hugging Face Trainer.
    """

    def __init__(self, config: TrainingConfig, callbacks: Sequence[TrainerCallback] = ()) -> None:
        self.config = config
        self._callbacks = list(callbacks)

    def train(self, pairs: "Iterable[Any] | str | Path") -> TrainingResult:
        """Train, and return what was made. A run that finished before is not repeated; a killed one goes on.

        Args:
            pairs: a JSON-lines file, or Pairs, dicts, InputExamples, or a Dataset (see `read_pairs`).

        Raises:
            DataError: bad pairs, or too few of them.
            TokenLimitError: texts over the model's limit, and on_overflow is "error".
            ModelError: the base model can't be read, or the output folder is occupied.
            SettingsError: settings that contradict each other or the model.
        """
        config = self.config
        all_pairs = read_pairs(pairs)
        output = OutputFolder(config.output_dir, {**config.identity(), "pairs": data_hash(all_pairs)})
        if card := output.finished(overwrite=config.overwrite):
            return TrainingResult(path=config.output_dir, **card["result"])
        folder = ModelFolder.open(
            config.base_model,
            revision=config.revision,
            prompts=config.prompts(),
            max_seq_length=config.max_seq_length,
        )
        audit = self._audit(all_pairs, folder)
        training, validation = split_pairs(all_pairs, config.validation_share, config.seed)
        if len(training) < 2:
            raise DataError(f"{len(training)} pairs are left for training; give more, or lower validation_share.")
        return self._run(output, folder, audit, training, validation)

    def _audit(self, pairs: Sequence[Pair], folder: ModelFolder) -> TokenAudit:
        audit = audit_tokens(pairs, folder, show_progress=True)
        if self.config.on_overflow == "error":
            audit.require_within_limit(
                "Chunk the positives smaller, raise max_seq_length if the model allows it, or set "
                "on_overflow='truncate' to cut them off."
            )
        return audit

    def _run(
        self,
        output: OutputFolder,
        folder: ModelFolder,
        audit: TokenAudit,
        training: list[Pair],
        validation: list[Pair],
    ) -> TrainingResult:
        config = self.config
        checkpoint = output.begin()
        model = self._load(folder)
        judge = Validation(validation, training + validation, folder.prompts) if validation else None
        scores = {"base": judge.ndcg_at_10(model)} if judge else {}
        tokens = sum(field.mean_tokens * field.texts for field in audit.fields.values())
        stats = FinalStatsCallback(tokens / (len(training) + len(validation)))
        self._fit(model, folder, training, output, stats, checkpoint)
        assert stats.stats is not None
        if judge:
            scores["tuned"] = judge.ndcg_at_10(model)
        kept = "tuned" if not judge or scores["tuned"] >= scores["base"] else "base"
        if kept == "base":
            model = self._load(folder)
        draft = output.draft()
        save_model(model, draft, folder)
        result = _result(stats.stats, kept, scores, training, validation, fingerprint(ModelFolder.open(draft)))
        write_text(draft / "README.md", _model_card(config, result))
        output.publish(
            {
                "base_model": config.base_model,
                "fingerprint": result["fingerprint"],
                "settings": config.model_dump(mode="json"),
                "versions": {name: version(name) for name in ("dragon-finetune", "sentence-transformers", "torch")},
                "result": result,
            }
        )
        return TrainingResult(path=config.output_dir, **result)

    def _load(self, folder: ModelFolder) -> SentenceTransformer:
        config = self.config
        return load_model(
            folder, device=config.device, trust_remote_code=config.trust_remote_code, revision=config.revision
        )

    def _fit(
        self,
        model: SentenceTransformer,
        folder: ModelFolder,
        training: list[Pair],
        output: OutputFolder,
        stats: FinalStatsCallback,
        checkpoint: Path | None,
    ) -> None:
        dataset = to_datasets(training)
        # Else sentence-transformers picks examples for a page we do not write, with a bar of its own.
        model.model_card_data.widget = [{"text": "none"}]
        loss = MultipleNegativesRankingLoss(model, scale=1 / self.config.temperature)
        trainer = SentenceTransformerTrainer(
            model=model,
            args=self._arguments(model, folder, output.checkpoints, training),
            train_dataset=dataset,
            loss=MatryoshkaLoss(model, loss, matryoshka_dims(model, self.config.matryoshka_dims)),
            callbacks=[stats, BarCallback(), *self._callbacks],
        )
        trainer.remove_callback(PrinterCallback)  # it prints to stdout, which belongs to --json
        with library_bars_quiet():
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)

    def _arguments(
        self, model: SentenceTransformer, folder: ModelFolder, checkpoints: Path, training: list[Pair]
    ) -> SentenceTransformerTrainingArguments:
        config = self.config
        precision = pick_precision(model.device) if config.precision == "auto" else config.precision
        # The collator knows only these prompts, so they are given for every column: what is trained on is then
        # token for token what is embedded later.
        negatives = max(len(pair.negatives) for pair in training)
        columns = ["positive", *(f"negative_{n + 1}" for n in range(negatives))]
        prompts = {"query": folder.prompts.query, **dict.fromkeys(columns, folder.prompts.document)}
        return SentenceTransformerTrainingArguments(
            output_dir=str(checkpoints),
            num_train_epochs=config.epochs,
            max_steps=config.max_steps or -1,
            learning_rate=config.learning_rate,
            warmup_steps=config.warmup,
            per_device_train_batch_size=config.batch_size,
            gradient_accumulation_steps=config.gradient_accumulation_steps,
            batch_sampler=BatchSamplers.NO_DUPLICATES,
            prompts=prompts,
            bf16=precision == "bf16",
            fp16=precision == "fp16",
            use_cpu=model.device.type == "cpu",
            save_steps=config.save_steps,
            save_total_limit=config.save_total_limit,
            logging_steps=config.logging_steps,
            disable_tqdm=True,
            report_to=config.report_to,
            seed=config.seed,
            data_seed=config.seed,
            dataloader_pin_memory=model.device.type == "cuda",
        )


def matryoshka_dims(model: SentenceTransformer, wanted: Sequence[int] | None) -> list[int]:
    """Return the dimensions to train as vectors, largest first: the full one and the `wanted` (default 512 to 64)."""
    full = model.get_embedding_dimension()
    assert full is not None
    if wanted and max(wanted) > full:
        raise SettingsError(f"matryoshka_dims has {max(wanted)}, but the model's vectors have {full}. Lower it.")
    return [full, *sorted({dim for dim in (_MATRYOSHKA if wanted is None else wanted) if dim < full}, reverse=True)]


def pick_precision(device: torch.device) -> str:
    """Return "bf16" where the device computes it natively, else "fp16" on CUDA, else "fp32"."""
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    if device.type == "cpu":
        capabilities = torch.cpu.get_capabilities()
        return "bf16" if capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") else "fp32"
    return "fp32"


def save_model(model: SentenceTransformer, path: Path, folder: ModelFolder) -> None:
    """Save a model as a complete folder in fp32 safetensors, with the prompts and the limit it was used with."""
    model.prompts = {"query": folder.prompts.query, "document": folder.prompts.document}
    model.default_prompt_name = None
    with library_bars_quiet():
        model.save_pretrained(str(path), create_model_card=False)


def _result(
    stats: FinalStats,
    kept: str,
    scores: dict[str, float],
    training: Sequence[Pair],
    validation: Sequence[Pair],
    mark: str,
) -> dict[str, Any]:
    return {
        **vars(stats),
        "kept": kept,
        "validation": scores,
        "pairs": {"training": len(training), "validation": len(validation)},
        "fingerprint": mark,
    }


def _model_card(config: TrainingConfig, result: dict[str, Any]) -> str:
    scores = "".join(f"- validation nDCG@10, {name}: {score:.4f}\n" for name, score in result["validation"].items())
    return (
        "---\nlibrary_name: sentence-transformers\npipeline_tag: sentence-similarity\n---\n"
        f"# {config.output_dir.name}\n\n"
        f"{config.base_model} fine-tuned with dragon-finetune on {result['pairs']['training']} pairs; "
        f"{result['pairs']['validation']} were held back.\n\n- weights kept: {result['kept']}\n{scores}"
        f"- epochs {config.epochs}, learning rate {config.learning_rate}, batch {config.batch_size} x "
        f"{config.gradient_accumulation_steps}, seed {config.seed}\n"
    )
