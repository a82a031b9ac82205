"""Planning an improvement: everything is read and checked, and a sample of the work is timed."""

import math
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dragon_finetune.chunks import ChunkRef, read_chunks
from dragon_finetune.embedding.embedder import FineTunedEmbedder
from dragon_finetune.errors import DataError
from dragon_finetune.evaluation.leaks import leaking_queries
from dragon_finetune.evaluation.runs import embedder_of
from dragon_finetune.improve.places import Places
from dragon_finetune.improve.plan import Plan
from dragon_finetune.improve.questions import Questions
from dragon_finetune.improve.request import Request
from dragon_finetune.model_place import EMBEDDED
from dragon_finetune.pair import Pair, read_pairs
from dragon_finetune.tokens.audit import audit_tokens
from dragon_finetune.training.config import TrainingConfig
from dragon_finetune.training.plan import TrainingPlan

_SAMPLE, _SAMPLE_TOKENS = 128, 16_384  # texts, and about how many tokens they may have together
_LEAST_SHARE = 0.5  # of the steps that the settings ask for; a training cut shorter is none


@dataclass(frozen=True)
class Material:
    """What an improvement works on, read and checked."""

    chunks: list[ChunkRef]
    questions: Questions | None
    pairs: list[Pair]
    dropped: int

    @classmethod
    def read(cls, request: Request, places: Places, pairs: Path | None) -> "Material":
        """Return the corpus of `places.chunks`, the questions, and the pairs but for those that ask what the test asks.

        Raises:
            DataError: a bad file, or no pair that the test does not ask; names file and line, row or item.
        """
        chunks = list(read_chunks([places.chunks]))
        questions = Questions.read(request.questions, chunks) if request.questions else None
        read = read_pairs(pairs) if pairs else []
        leaking = leaking_queries(questions.all, read, FineTunedEmbedder(EMBEDDED)) if questions and read else set()
        kept = [pair for pair in read if pair.query not in leaking]
        if read and not kept:
            raise DataError(
                f"{pairs}: all {len(read):,} pairs ask what the test asks. Train on others, or test by others."
            )
        return cls(chunks, questions, kept, len(read) - len(kept))


def training_config(request: Request, places: Places, max_steps: int | None = None) -> TrainingConfig:
    """Return the settings of the training: the defaults, the corpus's words joined."""
    settings = {"lexicon": [places.chunks], "overwrite": True, **request.training}
    if max_steps:
        settings["max_steps"] = max_steps
    return TrainingConfig(base_model=request.base_model, output_dir=places.tuned, **settings)


def make_plan(request: Request, places: Places, material: Material) -> Plan:
    """Return the plan; three steps are trained and thrown away, a sample of the corpus is embedded.

    Raises:
        TokenLimitError, ModelError, SettingsError, DataError: as the steps that are planned would.
    """
    audit = audit_tokens((chunk.text for chunk in material.chunks), request.base_model, show_progress=True)
    field = audit.fields["text"]
    tokens = round(field.mean_tokens * field.texts)
    training = _training(request, places, material)
    # The base and the tuned one are compared; else only what is chosen is embedded.
    models = 1 + (training is not None and material.questions is not None)
    speed = _tokens_per_second([chunk.text for chunk in material.chunks], request.base_model, field.mean_tokens)
    plan = Plan(field.texts, tokens, field.over_limit, audit.limit, speed, models, dropped=material.dropped)
    return _with_training(plan, training, request)


def _training(request: Request, places: Places, material: Material) -> TrainingPlan | None:
    if not material.pairs:
        return None
    from dragon_finetune.training.finetune import FineTuner  # imports torch, which takes seconds

    return FineTuner(training_config(request, places)).plan(material.pairs)


def _tokens_per_second(texts: Sequence[str], model: str, mean_tokens: float) -> float:
    embedder = embedder_of(model)
    count = max(2, min(_SAMPLE, len(texts), round(_SAMPLE_TOKENS / mean_tokens)))
    sample = random.Random(0).sample(list(texts), min(count, len(texts)))
    embedder.encode(sample[:2], role="document")  # the engine is chosen and warm
    started = time.perf_counter()
    embedder.encode(sample, role="document")
    return mean_tokens * len(sample) / (time.perf_counter() - started)


def _with_training(plan: Plan, training: TrainingPlan | None, request: Request) -> Plan:
    """Return the plan with its training, as far as the budget allows it."""
    said = [f"{plan.dropped:,} pairs ask what the test asks and are left out"] if plan.dropped else []
    if plan.many_long:
        file = request.chunks[0] if len(request.chunks) == 1 else "FILE"
        said.append(
            f"shorter chunks would be told apart better: `dragon-finetune chunk {file} chunks.jsonl --model "
            f"{request.base_model}`, then improve chunks.jsonl"
        )
    if training is None:
        if request.llm and not request.pairs:
            said.append(f"{request.llm} is asked for questions first; training is planned when they are there")
        elif not request.trains:
            said.append("nobody's questions to train on: give --pairs or --llm, if words alone are not enough")
        return replace(plan, remarks=tuple(said))
    seconds_per_step = (training.seconds - training.judging_seconds) / training.steps  # of the halves that judge too
    whole = replace(
        plan,
        pairs=training.pairs["training"] if training.judging_steps else sum(training.pairs.values()),
        steps=training.steps,
        seconds_per_step=seconds_per_step,
        judging_seconds=training.judging_seconds,
    )
    over = 0.0 if request.budget is None else max(0.0, whole.seconds - request.budget)
    steps = training.steps - math.ceil(over / seconds_per_step)
    if steps < _LEAST_SHARE * training.steps:
        said.append(f"the budget is too short for training: with it about {whole.seconds / 60:.0f} minutes are needed")
        return replace(plan, models=max(1, plan.models - 1), remarks=tuple(said))
    return replace(whole, steps=steps, steps_cut=steps < training.steps, remarks=tuple(said))
