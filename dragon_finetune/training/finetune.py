"""The trainer: pairs in, a complete model folder out, on SentenceTransformerTrainer."""

import time
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from transformers import TrainerCallback

from dragon_finetune.embedding.fingerprint import document_fingerprint, fingerprint
from dragon_finetune.embedding.joiner import joiner_of
from dragon_finetune.embedding.model import load_model
from dragon_finetune.errors import SettingsError
from dragon_finetune.evaluation.training_queries import write_training_queries
from dragon_finetune.files import write_text
from dragon_finetune.model_folder import ModelFolder
from dragon_finetune.training.adapters import add_adapters
from dragon_finetune.training.blend import Weights, snapshot
from dragon_finetune.training.callbacks import FinalStatsCallback
from dragon_finetune.training.config import TrainingConfig
from dragon_finetune.training.divergence import DivergenceCallback
from dragon_finetune.training.fitting import fit
from dragon_finetune.training.frozen import linear_weights, save_sides, with_query_side
from dragon_finetune.training.halves import Means, judge_by_halves
from dragon_finetune.training.joined import Joined, join, read_joined, said_of
from dragon_finetune.training.judgement import Judgement
from dragon_finetune.training.keeping import UNPROVEN, Spare, Watched, forgetting, keep
from dragon_finetune.training.output import OutputFolder
from dragon_finetune.training.plan import TrainingPlan, measure, planned_steps
from dragon_finetune.training.precision import pick_precision
from dragon_finetune.training.preparing import Material, Prepared, prepare
from dragon_finetune.training.result import TrainingResult
from dragon_finetune.training.room import require_room
from dragon_finetune.training.rows import examples
from dragon_finetune.training.saving import is_first_process, model_card, save_model
from dragon_finetune.training.validation import Validation
from dragon_finetune.training.watch import ValidationCallback


class FineTuner:
    """Trains an embedding model on pairs.

    Args:
        config: the settings.
        callbacks: further callbacks for the Hugging Face Trainer.
    """

    def __init__(self, config: TrainingConfig, callbacks: Sequence[TrainerCallback] = ()) -> None:
        _require_integrations(config.report_to)
        self.config = config
        self._callbacks = list(callbacks)
        self._frozen = config.documents == "frozen"

    def train(self, pairs: "Iterable[Any] | str | Path") -> TrainingResult:
        """Train, and return what was made. A run that finished before is not repeated; a killed one goes on.

        Args:
            pairs: a JSON-lines file, or Pairs, dicts, InputExamples, or a Dataset (see `read_pairs`).

        Raises:
            DataError: bad pairs, or too few of them.
            TokenLimitError: texts over the model's limit, and on_overflow is "error".
            ModelError: the base model can't be read, or the output folder is occupied.
            BusyError: another process trains into the same folder.
            SettingsError: settings that contradict each other or the model.
        """
        config = self.config
        material = Material.read(pairs, config)
        joined = read_joined(config, material.pairs)
        output = OutputFolder(config.output_dir, self._identity(material, joined))
        if result := self._finished(output):
            return result
        prepared = prepare(material, config)
        with output.alone() if is_first_process() else nullcontext():
            # Another process may have finished it meanwhile.
            return self._finished(output) or self._run(output, joined, prepared)

    def plan(self, pairs: "Iterable[Any] | str | Path") -> TrainingPlan:
        """Return what `train` would do and cost, measured on three steps. Writes nothing; raises as `train` does."""
        material = Material.read(pairs, self.config)
        read_joined(self.config, material.pairs)
        prepared = prepare(material, self.config)
        return measure(self._load(prepared.folder), self.config, prepared)

    def _finished(self, output: OutputFolder) -> TrainingResult | None:
        card = output.finished(overwrite=self.config.overwrite)
        return TrainingResult(path=self.config.output_dir, **card["result"]) if card else None

    def _identity(self, material: Material, joined: Joined) -> dict[str, Any]:
        """Return everything that decides the result: the base by what it is, not by where it lies."""
        base = ModelFolder.open(self.config.base_model, revision=self.config.revision)
        corpus = {"lexicon": joined.hash()} if joined.words else {}
        return {**self.config.identity(), "base": fingerprint(base), **material.hashes(), **corpus}

    def _run(self, output: OutputFolder, joined: Joined, prepared: Prepared) -> TrainingResult:
        checkpoint = output.begin()
        folder, training = prepared.folder, prepared.training
        model = self._load(folder)
        base = snapshot(model)
        validate = self._validation(model, prepared, joined) if prepared.judges else None
        first = validate.judge(model) if validate else None
        others = self._others(model, base, prepared) if validate or prepared.halves else {}
        tokens = sum(field.mean_tokens * field.texts for field in prepared.audit.fields.values())
        stats = FinalStatsCallback(tokens / prepared.audit.fields["query"].texts)
        guard = DivergenceCallback()
        looks = self._looks(validate, first, output, examples(training))
        watchers = [stats, guard, *([looks] if looks else []), *self._callbacks]
        if self.config.lora_rank:
            add_adapters(model, self.config.lora_rank)
        require_room(model, self.config, planned_steps(self.config, training), output.work)
        means = Means(partial(self._load, folder), partial(self._validation, joined=joined), self._others)
        halves = judge_by_halves(prepared, self.config, output.work, means)
        fit(model, self.config, folder.prompts, training, output.checkpoints, watchers, checkpoint)
        assert stats.stats is not None
        if not is_first_process():
            return self._wait_for(output)
        outcome, spare = keep(model, base, self.config, Watched(validate, first, halves, looks, guard), others)
        outcome["forgetting"] = forgetting(model, base, folder, self.config)
        outcome |= {**vars(stats.stats), "dropped": prepared.dropped, "training_texts": self.config.training_texts}
        judging = len(training) if halves else len(prepared.judges)
        outcome["pairs"] = {"training": len(training), "validation": judging}
        return self._publish(output, model, prepared, outcome, joined, spare)

    def _publish(
        self,
        output: OutputFolder,
        model: SentenceTransformer,
        prepared: Prepared,
        outcome: dict[str, Any],
        joined: Joined,
        spare: Spare | None,
    ) -> TrainingResult:
        """Save the model with all that is known of its making, in the output's place."""
        draft = output.draft()
        self._save(model, outcome["kept"], draft, prepared.folder)
        if spare:
            model.load_state_dict(spare.weights)
            self._save(model, spare.name, draft / UNPROVEN, prepared.folder)
        more = join(draft, joined, self.config)
        outcome["joined"] = said_of(more)
        made = ModelFolder.open(draft)
        outcome |= {"documents": self.config.documents, "document_fingerprint": document_fingerprint(made)}
        result = {**outcome, "fingerprint": fingerprint(made)}
        write_text(draft / "README.md", model_card(self.config, result))
        write_training_queries(draft, [*prepared.training, *prepared.judges], self.config.training_texts)
        output.publish(
            {
                "base_model": self.config.base_model,
                "fingerprint": result["fingerprint"],
                "settings": self.config.model_dump(mode="json"),
                "versions": {name: version(name) for name in ("dragon-finetune", "sentence-transformers", "torch")},
                "result": result,
                **more,
            }
        )
        return TrainingResult(path=self.config.output_dir, **result)

    def _save(self, model: SentenceTransformer, kept: str, path: Path, folder: ModelFolder) -> None:
        if self._frozen:
            save_sides(model, kept, path, folder)
        else:
            save_model(model, path, folder)

    def _wait_for(self, output: OutputFolder) -> TrainingResult:
        """Return what the first of several processes publishes."""
        while not (card := output.finished(overwrite=True)):
            time.sleep(0.5)
        return TrainingResult(path=self.config.output_dir, **card["result"])

    def _validation(self, model: SentenceTransformer, prepared: Prepared, joined: Joined) -> Validation:
        config = self.config
        lexicon = joined.words.lexicon if joined.words else None
        if self._frozen and (joiner := joiner_of(prepared.folder.path)):
            lexicon = joiner.lexicon
        return Validation(
            prepared.judges,
            prepared.training + prepared.judges,
            prepared.folder,
            lexicon=lexicon,
            with_words=lexicon is not None,
            max_queries=config.max_validation_queries,
            max_corpus=config.max_validation_corpus,
            seed=config.seed,
            precision=pick_precision(config, model.device),
            frozen=self._frozen,
        )

    def _others(self, model: SentenceTransformer, base: Weights, prepared: Prepared) -> dict[str, Weights]:
        """Return what is tried beside the trained weights, by name."""
        if not self._frozen:
            return {}
        precision, seed = pick_precision(self.config, model.device), self.config.seed
        return linear_weights(model, base, prepared.training, prepared.folder, precision=precision, seed=seed)

    def _looks(
        self, validate: Validation | None, first: Judgement | None, output: OutputFolder, training: int
    ) -> ValidationCallback | None:
        if validate is None or first is None:
            return None
        config = self.config
        devices = torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
        per_step = config.batch_size * config.gradient_accumulation_steps * devices
        per_epoch = max(1, training // per_step)
        steps = max(1, per_epoch // config.validations_per_epoch)
        return ValidationCallback(validate.judge, first, output.work, steps=steps, patience=config.patience)

    def _load(self, folder: ModelFolder) -> SentenceTransformer:
        config = self.config
        model = load_model(
            folder, device=config.device, trust_remote_code=config.trust_remote_code, revision=config.revision
        )
        return with_query_side(model) if self._frozen else model


def _require_integrations(report_to: str) -> None:
    """Raise SettingsError for an integration that the Trainer would miss hours later."""
    from transformers.integrations.integration_utils import get_available_reporting_integrations

    available: list[str] = get_available_reporting_integrations()  # type: ignore[no-untyped-call]
    if report_to not in ("none", "all", *available):
        raise SettingsError(
            f"report_to is {report_to!r}, which is not installed or unknown; there is "
            f"{', '.join(available) or 'none here'}. Install it, or leave report_to out."
        )
