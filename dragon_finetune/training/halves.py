"""Few pairs judge themselves: each half of them is judged by what was trained on the other.

Cross-validation in two folds (Stone 1974): all queries judge, where a fifth held back would be too few to tell. What is
judged so was trained on half of the pairs, and the folder gets what is trained on all of them.
"""

import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sentence_transformers import SentenceTransformer

from dragon_finetune.files import read_json, write_json
from dragon_finetune.training.adapters import add_adapters, merge_adapters
from dragon_finetune.training.blend import BLENDS, Verdict, Weights, decide, is_finite, snapshot, weights_of
from dragon_finetune.training.checkpoints import last_whole
from dragon_finetune.training.config import TrainingConfig
from dragon_finetune.training.datasets import Examples
from dragon_finetune.training.divergence import DivergenceCallback
from dragon_finetune.training.fitting import fit
from dragon_finetune.training.judgement import Judgement
from dragon_finetune.training.preparing import Prepared
from dragon_finetune.training.validation import Validation, by_source


class Means(NamedTuple):
    """What trains and judges.

    Attributes:
        load: loads the base.
        validate: makes what judges a model, of what is trained on and judged by.
        others: makes what is tried beside the trained weights, by name: of the base, its weights, what is trained on.
    """

    load: Callable[[], SentenceTransformer]
    validate: Callable[[SentenceTransformer, Prepared], Validation]
    others: Callable[[SentenceTransformer, Weights, Prepared], Mapping[str, Weights]]


@dataclass(frozen=True)
class Halves:
    """What the halves said: which share of the tuned weights to keep and why, and of each source."""

    verdict: Verdict
    by_source: dict[str, dict[str, float]]


def judge_by_halves(prepared: Prepared, config: TrainingConfig, work: Path, means: Means) -> Halves | None:
    """Train on each half and judge by the other; None: `prepared` has no halves. A half that is judged is not redone.

    Args:
        prepared: the pairs, and their halves.
        config: the settings of the whole run.
        work: the run's work folder: checkpoints go there, and what each half said.
        means: what trains and judges.

    Raises:
        StoppedError, ModelError: as `fit`.
    """
    if not prepared.halves:
        return None
    said, sources = [], []
    for number, half in enumerate(prepared.halves, 1):
        file = work / f"half-{number}.json"
        if not file.is_file():
            print(f"half {number} of 2: trained on, judged by the other", file=sys.stderr, flush=True)
            part = replace(prepared, training=half, judges=prepared.halves[2 - number], halves=())
            write_json(file, _judge_half(part, config, work / f"half-{number}", means))
        written = read_json(file)
        said.append({name: _read(values) for name, values in written["said"].items()})
        sources += written["sources"]
    # What one half has nothing of, as when no map finds more, is there the base.
    names = [name for name in dict.fromkeys([*said[0], *said[1]]) if name not in ("base", *BLENDS)] + [*BLENDS]
    together = {name: Judgement.together([each.get(name, each["base"]) for each in said]) for name in ("base", *names)}
    first = together.pop("base")
    verdict, kept = decide(first, together, tried=len(together), seed=config.seed)
    return Halves(verdict, by_source(sources, first, kept))


def half_of(config: TrainingConfig) -> TrainingConfig:
    """Return the settings of a training on half of the pairs."""
    return config.model_copy(update={"max_steps": config.max_steps and -(-config.max_steps // 2), "report_to": "none"})


def _judge_half(part: Prepared, config: TrainingConfig, work: Path, means: Means) -> dict[str, Any]:
    """Return what the queries of one half say of the base and of what was made of the other."""
    model = means.load()
    base = snapshot(model)
    validation = means.validate(model, part)
    first = validation.judge(model)
    others = means.others(model, base, part)
    if config.lora_rank:
        add_adapters(model, config.lora_rank)
    fit(
        model,
        half_of(config),
        part.folder.prompts,
        Examples.of(part.training),
        work,
        [DivergenceCallback()],
        last_whole(work),
    )
    if config.lora_rank:
        merge_adapters(model)
    tuned = snapshot(model)
    if not is_finite(tuned):
        tuned = base  # nothing is to be had so, and the whole run will say why
    said = {"base": first}
    for name in (*others, *BLENDS):
        model.load_state_dict(weights_of(name, base, tuned, others))
        said[name] = validation.judge(model)
    shutil.rmtree(work, ignore_errors=True)
    return {"said": {name: _written(each) for name, each in said.items()}, "sources": validation.sources}


def _written(judgement: Judgement) -> dict[str, Any]:
    joined = None if judgement.joined is None else judgement.joined.tolist()
    return {**vars(judgement), "dense": judgement.dense.tolist(), "joined": joined}


def _read(values: dict[str, Any]) -> Judgement:
    joined = None if values["joined"] is None else np.array(values["joined"])
    return Judgement(**{**values, "dense": np.array(values["dense"]), "joined": joined})
