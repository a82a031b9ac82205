"""What a run trains on and is judged by: read, cleaned, set apart, checked against the model's limit."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dragon_finetune.embedding.fingerprint import has_common_layout
from dragon_finetune.errors import DataError, ModelError, SettingsError
from dragon_finetune.known_prompts import warn_without_prompts
from dragon_finetune.model_folder import ModelFolder
from dragon_finetune.pair import Pair, read_pairs
from dragon_finetune.tokens.audit import audit_tokens
from dragon_finetune.tokens.audit_report import TokenAudit
from dragon_finetune.training.cleaning import clean_pairs
from dragon_finetune.training.config import TrainingConfig
from dragon_finetune.training.datasets import data_hash
from dragon_finetune.training.judges import by_halves, halves_of, set_apart
from dragon_finetune.training.mixing import mix_in, weigh


@dataclass(frozen=True)
class Material:
    """The pairs as they were given: to train on, from outside of the domain, to judge by."""

    pairs: list[Pair]
    general: list[Pair]
    judges: list[Pair]

    @classmethod
    def read(cls, pairs: "Iterable[Any] | str | Path", config: TrainingConfig) -> "Material":
        """Return what lies in the files of the settings. Raises DataError; names file and line."""
        general, judge = config.general_pairs, config.judge
        return cls(read_pairs(pairs), read_pairs(general) if general else [], read_pairs(judge) if judge else [])

    def hashes(self) -> dict[str, str]:
        """Return hashes of what decides the result."""
        judges = {"judge": data_hash(self.judges)} if self.judges else {}
        return {"pairs": data_hash([*self.pairs, *self.general]), **judges}


@dataclass(frozen=True)
class Prepared:
    """What a run starts with.

    Attributes:
        training, judges: to train on, and to judge by.
        halves: of the training pairs, each of which judges what was trained on the other; (): others judge.
        dropped: how many pairs were left out, by reason.
    """

    folder: ModelFolder
    audit: TokenAudit
    training: list[Pair]
    judges: list[Pair]
    halves: tuple[list[Pair], ...]
    dropped: dict[str, int]


def prepare(material: Material, config: TrainingConfig) -> Prepared:
    """Return what a run starts with.

    Raises:
        DataError: too few pairs, or pairs that can teach or judge nothing.
        TokenLimitError: texts over the limit, and on_overflow is "error".
        ModelError: the base model can't be read.
        SettingsError: settings that contradict each other or the pairs.
    """
    folder = ModelFolder.open(
        config.base_model, revision=config.revision, prompts=config.prompts(), max_seq_length=config.max_seq_length
    )
    if config.documents == "frozen":
        _require_common_layout(folder)
    warn_without_prompts(folder, config.prompts())
    clean, dropped = clean_pairs(material.pairs)
    _require_something_to_tell_apart(clean)
    audit = _audit(clean, folder, config)
    halves = halves_of(clean, config) if by_halves(clean, config) else ()
    training, judges, asked = (clean, [], 0) if halves else set_apart(clean, material.judges, config)
    if material.judges:
        _audit(judges, folder, config)
    unknown = config.source_weights.keys() - {str(pair.metadata.get("source", "")) for pair in clean}
    if unknown:
        raise SettingsError(f"source_weights names {sorted(unknown)[0]!r}, but no pair is of that source.")
    training = weigh(training, config.source_weights, config.seed)
    _require_something_to_tell_apart(training)
    if material.general:
        general = clean_pairs(material.general)[0]
        _audit(general, folder, config)
        training = mix_in(training, general, config.general_share, config.seed)
    return Prepared(folder, audit, training, judges, halves, {**dropped, "queries that judge": asked})


def _require_something_to_tell_apart(training: Sequence[Pair]) -> None:
    if len(training) < 2:
        raise DataError(f"{len(training)} pairs are left for training; give more, or lower validation_share.")
    if len({pair.query for pair in training}) == 1:
        raise DataError(
            f"all {len(training)} training pairs have one query ({training[0].query[:60]!r}), so no batch holds "
            "two to tell apart. Give pairs of several queries."
        )


def _require_common_layout(folder: ModelFolder) -> None:
    if not has_common_layout(folder):
        raise ModelError(
            f"{folder.path} is laid out as sentence-transformers no longer does, so behind a router its index could "
            "not be told from another model's. Save it anew (`SentenceTransformer(OLD).save_pretrained(NEW)`), and "
            "index with that, or train documents too."
        )


def _audit(pairs: Sequence[Pair], folder: ModelFolder, config: TrainingConfig) -> TokenAudit:
    audit = audit_tokens(pairs, folder, show_progress=True)
    if config.on_overflow == "error":
        audit.require_within_limit(
            "Chunk the positives smaller, raise max_seq_length if the model allows it, or cut them off: "
            "`--on-overflow truncate` on the command line, `on_overflow: truncate` in the --config file."
        )
    return audit
