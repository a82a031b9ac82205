"""The trainer: pairs in, a complete model folder out, on SentenceTransformerTrainer."""

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

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
from dragon_finetune.training.halves import Halves, Means, judge_by_halves
from dragon_finetune.training.joined import Joined, join, read_joined, said_of
from dragon_finetune.training.judgement import Judgement
from dragon_finetune.training.keeping import UNPROVEN, Spare, Watched, forgetting, keep
from dragon_finetune.training.leading import Beginning, Lead
from dragon_finetune.training.output import CHECKPOINTS, OutputFolder
from dragon_finetune.training.plan import TrainingPlan, measure, planned_steps
from dragon_finetune.training.precision import pick_precision
from dragon_finetune.training.preparing import Material, Prepared, prepare
from dragon_finetune.training.ranks import Ranks
from dragon_finetune.training.result import TrainingResult
from dragon_finetune.training.room import require_room
from dragon_finetune.training.saving import model_card, save_model
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

        Of several processes (torchrun) the first alone reads the pairs, judges and writes; all return the same.

        Args:
            pairs: a JSON-lines file, or Pairs, dicts, InputExamples, or a Dataset (see `read_pairs`).

        Raises:
            DataError: bad pairs, or too few of them.
            TokenLimitError: texts over the model's limit, and on_overflow is "error".
            ModelError: the base model can't be read, or the output folder is occupied, or not seen by all processes.
            BusyError: another process trains into the same folder.
            SettingsError: settings that contradict each other or the model, or that differ between processes.
            StoppedError: it was told to stop, or another process of the run has ended.
        """
        ranks = Ranks(cpu=self.config.device == "cpu")
        ranks.require_alike(self._settings)
        with ExitStack() as until_done:
            lead: list[Lead] = []
            begun = ranks.told(lambda: self._begin(pairs, ranks, lead, until_done))
            if isinstance(begun, TrainingResult):
                return begun
            return self._run(ranks, begun, lead[0] if lead else None)

    def plan(self, pairs: "Iterable[Any] | str | Path") -> TrainingPlan:
        """Return what `train` would do and cost, measured on three steps. Writes nothing; raises as `train` does."""
        Ranks(cpu=self.config.device == "cpu")
        material = Material.read(pairs, self.config)
        read_joined(self.config, material.pairs)
        prepared = prepare(material, self.config)
        return measure(self._load(prepared.folder), self.config, prepared)

    def _begin(
        self, pairs: "Iterable[Any] | str | Path", ranks: Ranks, lead: list[Lead], until_done: ExitStack
    ) -> Beginning | TrainingResult:
        """Read and prepare all, in the first process; what only that one needs goes into `lead`."""
        material = Material.read(pairs, self.config)
        joined = read_joined(self.config, material.pairs)
        output = OutputFolder(self.config.output_dir, self._identity(material, joined, ranks))
        if result := self._finished(output):
            return result
        prepared = prepare(material, self.config)
        until_done.enter_context(output.alone())
        # Another process may have finished it meanwhile.
        if result := self._finished(output):
            return result
        lead.append(Lead.of(output, joined, prepared, ranks.count))
        return lead[0].beginning()

    def _finished(self, output: OutputFolder) -> TrainingResult | None:
        card = output.finished(overwrite=self.config.overwrite)
        return TrainingResult(path=self.config.output_dir, **card["result"]) if card else None

    def _identity(self, material: Material, joined: Joined, ranks: Ranks) -> dict[str, Any]:
        """Return everything that decides the result: the base by what it is, not by where it lies."""
        corpus = {"lexicon": joined.hash()} if joined.words else {}
        together = {"processes": ranks.count} if ranks.count > 1 else {}
        return {**self._settings(), **material.hashes(), **corpus, **together}

    def _run(self, ranks: Ranks, begun: Beginning, lead: Lead | None) -> TrainingResult:
        examples = lead.examples if lead else begun.examples()
        folder = lead.prepared.folder if lead else self._folder()
        model = self._load(folder)
        base = snapshot(model)
        validate = self._validation(model, lead.prepared, lead.joined) if lead and lead.prepared.judges else None
        first = ranks.told(lambda: validate.judge(model) if validate else None)
        stats, guard = FinalStatsCallback(begun.tokens_per_example), DivergenceCallback()
        looks = self._looks(ranks, validate, first, begun.work, len(examples))
        watchers = [stats, guard, *([looks] if looks else []), *self._callbacks]
        judged = bool(lead and (validate or lead.prepared.halves))
        others = self._others(model, base, lead.prepared) if lead and judged else {}
        if self.config.lora_rank:
            add_adapters(model, self.config.lora_rank)
        steps = planned_steps(self.config, len(examples))
        ranks.told(lambda: require_room(model, self.config, steps, begun.work))
        halves = self._by_halves(lead) if lead else None
        with ranks.together():
            fit(model, self.config, folder.prompts, examples, begun.work / CHECKPOINTS, watchers, begun.checkpoint)
        watched = Watched(validate, first, halves, looks, guard)
        return ranks.told(lambda: self._make(model, base, watched, others, stats, lead))

    def _by_halves(self, lead: Lead) -> Halves | None:
        prepared = lead.prepared
        means = Means(partial(self._load, prepared.folder), partial(self._validation, joined=lead.joined), self._others)
        return judge_by_halves(prepared, self.config, lead.output.work, means)

    def _make(
        self,
        model: SentenceTransformer,
        base: Weights,
        watched: Watched,
        others: dict[str, Weights],
        stats: FinalStatsCallback,
        lead: Lead | None,
    ) -> TrainingResult:
        """Keep what is shown to be better, and publish it; in the first process alone."""
        assert lead is not None and stats.stats is not None
        prepared = lead.prepared
        outcome, spare = keep(model, base, self.config, watched, others)
        outcome["forgetting"] = forgetting(model, base, prepared.folder, self.config)
        outcome |= {**vars(stats.stats), "dropped": lead.left_out(), "training_texts": self.config.training_texts}
        judging = prepared.training if prepared.halves else prepared.judges
        outcome["pairs"] = {"training": len(prepared.training), "validation": len(judging)}
        return self._publish(lead, model, outcome, spare)

    def _publish(
        self, lead: Lead, model: SentenceTransformer, outcome: dict[str, Any], spare: Spare | None
    ) -> TrainingResult:
        """Save the model with all that is known of its making, in the output's place."""
        output, prepared, joined = lead.output, lead.prepared, lead.joined
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
        self, ranks: Ranks, validate: Validation | None, first: Judgement | None, work: Path, examples: int
    ) -> ValidationCallback | None:
        if first is None:
            return None
        config = self.config
        per_step = config.batch_size * config.gradient_accumulation_steps * ranks.count
        per_epoch = max(1, examples // per_step)
        steps = max(1, per_epoch // config.validations_per_epoch)

        def judge(model: SentenceTransformer) -> Judgement:
            # All must stop at the same step, so all are told what the first process sees.
            return ranks.told(lambda: cast(Validation, validate).judge(model))

        return ValidationCallback(judge, first, work, steps=steps, patience=config.patience)

    def _settings(self) -> dict[str, Any]:
        base = ModelFolder.open(self.config.base_model, revision=self.config.revision)
        return {**self.config.identity(), "base": fingerprint(base)}

    def _folder(self) -> ModelFolder:
        config = self.config
        return ModelFolder.open(
            config.base_model, revision=config.revision, prompts=config.prompts(), max_seq_length=config.max_seq_length
        )

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
