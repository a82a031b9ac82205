"""The settings of a training run, validated once."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from dragon_finetune.errors import SettingsError, suggest
from dragon_finetune.files import absolute
from dragon_finetune.lexical.lexicon import DIMENSIONS, LEAST_DIMENSIONS, MOST_DIMENSIONS, MOST_SHARE, SHARE
from dragon_finetune.model_place import absolute_if_folder
from dragon_finetune.settings import Precision, explain

CACHED_FROM = 64
"""Batch size from which gradients are cached: below it, computing every forward pass twice costs more than it saves."""


class TrainingConfig(BaseModel):
    """Settings of a training run; frozen.

    Attributes:
        base_model: a sentence-transformers folder, a hub name, or "embedded".
        output_dir: where the trained folder goes; complete or absent, never half.
        documents: "frozen" leaves what documents go through as it is in the base, whose index then serves the new
            model, and trains what queries go through alone (docs/training.md); "trained" trains one encoder for both.
        epochs: passes over the training pairs.
        learning_rate: peak of a linear schedule. Default 2e-5, sentence-transformers' own for this loss: of what was
            tried it does best on judged queries (docs/training.md).
        warmup: below 1 the share of steps, else the number of steps, over which the rate rises.
        batch_size: pairs per step and device (of the source "hybrid": passages, with up to four queries each); each
            pair's negatives are the other positives of the batch. From `CACHED_FROM` on, gradients are cached
            (CachedMultipleNegativesRankingLoss), so that memory depends on `slice_tokens` and no longer on the batch.
        slice_tokens: padded tokens that go through the model at once; a batch is sorted by length and cut into such
            slices, so next to no padding is computed. Default: 1024 on a CPU (measured), 32768 elsewhere.
        gradient_accumulation_steps: batches per step. Saves memory; adds no negatives.
        gradient_checkpointing: compute activations twice instead of keeping them.
        lora_rank: train low-rank adapters of this rank on all linear layers instead of the weights (needs peft), and
            merge them when saving; None: train all weights.
        dropout: the dropout probability of every layer in training. Default: the base's own.
        false_negative_margin: of in-batch and hard negatives ignore those whose cosine to the query, as the base sees
            it, is above (1 - margin) times that of the positive (0.05: NV-Retriever, arXiv 2407.15831); None: use all.
        max_seq_length: the limit in tokens to train with and to save; default: the base's own.
        temperature: what cosines are divided by in the ranking loss. Lower asks for less distance between positives and
            negatives, and so moves the general level of distances less. Default 0.05, sentence-transformers' own (its
            scale of 20); 0.02 was chosen once for the host's distances and lost on judged queries (docs/training.md).
        query_prompt: what stands before a query, to train with and to save; default: the base's own.
        document_prompt: the same before a document.
        precision: "auto" takes bf16 where the device really has it, else fp16 on CUDA, else fp32. Weights stay fp32.
        matryoshka_dims: prefixes of the vector that are trained as vectors beside the full one, such as 256, 128, 64,
            for users of `truncate_dim`. Default: none.
        judge: a file of pairs that are never trained on and judge the model; training queries that are, nearly, one of
            them are left out. Default: some of the training pairs are held back.
        validation_share: share of the pairs that can judge (docs/training.md) which is held back, by group, at most
            `max_validation_queries`; 0: nothing judges, and the tuned weights are kept unproven.
        halves: hold nothing back: train on each half of the pairs to be judged by the other, then on all of them, in
            about twice the time. Default: where a fifth held back would be fewer than `HELD_BACK_ENOUGH` pairs, all of
            them can judge, no `judge` is given, and one process trains.
        validations_per_epoch: how often it is judged; the weights of the best look are what is kept of the run.
        patience: stop after so many looks without a new best; None: never.
        max_validation_queries: queries of one look at most.
        max_validation_corpus: passages of one look at most; those that the base takes for the nearest are kept.
        source_weights: source -> share of its training pairs to use, 0 to 1, drawn at random; sources not named: all.
        general_pairs: a file of pairs from outside the domain, mixed in against forgetting; never validated on.
        general_share: share of the training pairs that they make up at most.
        on_overflow: "error" refuses texts over the limit, "truncate" cuts them off.
        save_steps: steps between checkpoints, or a share of all, below 1.
        save_total_limit: checkpoints that are kept at most.
        logging_steps: steps between two points of the curve of the loss.
        max_steps: stop after so many steps; default: after `epochs`.
        seed: of everything that is drawn at random.
        trust_remote_code: run code that comes with a base of the hub; only with `revision`, its commit.
        revision: the commit of a base of the hub.
        overwrite: replace an occupied output_dir, moving it aside first.
        device: "cpu" trains there whatever else is at hand.
        training_texts: "full" keeps the queries and passages trained on in the folder, so that leaks are found months
            later, rewordings too; "hashed" keeps only their hashes, for a folder that is given to others.
        lexicon: chunk files whose words go into the vectors beside what is trained (docs/lexical.md); (): none.
        lexicon_dimensions: numbers in a vector for the words.
        lexicon_share: how much the words have to say, 0 to 0.9.
        distances: "base" keeps the base's level of distances by one more number in each vector, so that a host's
            thresholds keep their meaning; "native" leaves them as training made them. Default: "base" with a lexicon,
            else "native".
        report_to: the Trainer's integrations ("tensorboard", "mlflow", "wandb").

    Raises:
        SettingsError: an unknown name (with the nearest known), a value out of range, or `documents: frozen` beside
            what would change the vectors of documents.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_model: str
    output_dir: Path
    documents: Literal["trained", "frozen"] = "trained"
    epochs: float = Field(default=2.0, gt=0, le=1000)
    learning_rate: float = Field(default=2e-5, gt=0, le=1e-2)
    warmup: float = Field(default=0.1, ge=0)
    batch_size: int = Field(default=16, ge=2)
    slice_tokens: int | None = Field(default=None, ge=64)
    gradient_accumulation_steps: int = Field(default=1, ge=1)
    gradient_checkpointing: bool = False
    lora_rank: int | None = Field(default=None, ge=1)
    dropout: float | None = Field(default=None, ge=0, lt=1)
    false_negative_margin: float | None = Field(default=None, ge=0, lt=1)
    max_seq_length: int | None = Field(default=None, ge=8)
    temperature: float = Field(default=0.05, ge=0.001, le=1)
    query_prompt: str | None = None
    document_prompt: str | None = None
    precision: Precision = "auto"
    matryoshka_dims: tuple[int, ...] = ()
    judge: Path | None = None
    validation_share: float = Field(default=0.2, ge=0, le=0.5)
    halves: bool | None = None
    validations_per_epoch: int = Field(default=1, ge=1)
    patience: int | None = Field(default=4, ge=1)
    max_validation_queries: int = Field(default=500, ge=1)
    max_validation_corpus: int = Field(default=5000, ge=10)
    source_weights: dict[str, Annotated[float, Field(ge=0, le=1)]] = {}
    general_pairs: Path | None = None
    general_share: float = Field(default=0.2, gt=0, lt=1)
    on_overflow: Literal["error", "truncate"] = "error"
    save_steps: float = Field(default=100, gt=0)
    save_total_limit: int = Field(default=3, ge=1)
    logging_steps: int = Field(default=10, ge=1)
    max_steps: int | None = Field(default=None, ge=1)
    seed: int = Field(default=42, ge=0)
    trust_remote_code: bool = False
    revision: str | None = None
    overwrite: bool = False
    device: str | None = None
    training_texts: Literal["full", "hashed"] = "full"
    lexicon: tuple[Path, ...] = ()
    lexicon_dimensions: int = Field(default=DIMENSIONS, ge=LEAST_DIMENSIONS, le=MOST_DIMENSIONS)
    lexicon_share: float = Field(default=SHARE, ge=0, le=MOST_SHARE)
    distances: Literal["base", "native"] | None = None
    report_to: str = "none"

    @field_validator("output_dir", "general_pairs", "judge")
    @classmethod
    def _absolute(cls, path: Path | None) -> Path | None:
        return None if path is None else absolute(path)

    @field_validator("lexicon", mode="before")
    @classmethod
    def _absolute_files(cls, files: Any) -> Any:
        # One file may stand alone in a YAML file.
        return tuple(absolute(file) for file in ([files] if isinstance(files, (str, Path)) else files))

    @field_validator("base_model")
    @classmethod
    def _absolute_base(cls, model: str) -> str:
        return absolute_if_folder(model)

    def __init__(self, **values: Any) -> None:
        if isinstance(values.get("base_model"), Path):
            values["base_model"] = str(values["base_model"])
        for name in values:
            if name not in type(self).model_fields:
                raise SettingsError(f"unknown training setting {name!r}. {suggest(name, type(self).model_fields)}")
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise SettingsError(explain("training:", error)) from None
        if self.documents == "frozen":
            self._require_same_documents()

    def _require_same_documents(self) -> None:
        given = {
            "document_prompt": self.document_prompt is not None,
            "query_prompt": self.query_prompt is not None,  # a fingerprint has both
            "max_seq_length": self.max_seq_length is not None,
            "lexicon": bool(self.lexicon),
            "distances": self.distances == "base",
        }
        if changes := [name for name, there in given.items() if there]:
            raise SettingsError(
                f"documents is frozen, and {', '.join(changes)} would make an index of the base stale. Leave it out; "
                "for words in the vectors take a base that has them (`dragon-finetune lexicon`), whose index is kept."
            )
        if self.lora_rank:
            raise SettingsError("documents is frozen, and lora_rank can't adapt one side alone. Leave it out.")

    def prompts(self) -> dict[str, str]:
        """Return the prompts that replace the base model's own."""
        chosen = {"query": self.query_prompt, "document": self.document_prompt}
        return {role: prompt for role, prompt in chosen.items() if prompt is not None}

    def identity(self) -> dict[str, Any]:
        """Return the settings that decide the result: two runs that agree in them are the same run."""
        beside_the_point = {"output_dir", "overwrite", "report_to", "save_steps", "save_total_limit", "logging_steps"}
        # Paths: what lies there counts (`FineTuner`).
        beside_the_point |= {"base_model", "general_pairs", "judge", "lexicon"}
        beside_the_point |= set() if self.lexicon else {"lexicon_dimensions", "lexicon_share"}
        beside_the_point |= {"distances"} if self.distances is None else set()
        beside_the_point |= {"documents"} if self.documents == "trained" else set()
        return self.model_dump(mode="json", exclude=beside_the_point)
