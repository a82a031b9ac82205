"""Few pairs judge themselves: each half of them is judged by what was trained on the other.

Cross-validation in two folds (Stone 1974): all queries judge, where a fifth held back would be too few to tell. What is
judged so was trained on half of the pairs, and the folder gets what is trained on all of them.
"""

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from sentence_transformers import SentenceTransformer

from dragon_finetune.files import read_json, write_json
from dragon_finetune.training.adapters import add_adapters, merge_adapters
from dragon_finetune.training.blend import SHARES, Verdict, decide, is_finite, judge_blend, snapshot
from dragon_finetune.training.checkpoints import last_whole
from dragon_finetune.training.config import TrainingConfig
from dragon_finetune.training.divergence import DivergenceCallback
from dragon_finetune.training.fitting import fit
from dragon_finetune.training.judgement import Judgement
from dragon_finetune.training.preparing import Prepared
from dragon_finetune.training.validation import Validation, by_source

Load = Callable[[], SentenceTransformer]
Validate = Callable[[SentenceTransformer, Prepared], Validation]


@dataclass(frozen=True)
class Halves:
    """What the halves said: which share of the tuned weights to keep and why, and of each source."""

    verdict: Verdict
    by_source: dict[str, dict[str, float]]


def judge_by_halves(
    prepared: Prepared, config: TrainingConfig, work: Path, load: Load, validate: Validate
) -> Halves | None:
    """Train on each half and judge by the other; None: `prepared` has no halves. A half that is judged is not redone.

    Args:
        prepared: the pairs, and their halves.
        config: the settings of the whole run.
        work: the run's work folder: checkpoints go there, and what each half said.
        load: loads the base.
        validate: makes what judges a model, of what a half trains on and is judged by.

    Raises:
        StoppedError, ModelError: as `fit`.
    """
    if not prepared.halves:
        return None
    said = []
    for number, half in enumerate(prepared.halves):
        other = prepared.halves[1 - number]
        file = work / f"half-{number + 1}.json"
        if not file.is_file():
            print(f"half {number + 1} of 2: trained on, judged by the other", file=sys.stderr, flush=True)
            part = replace(prepared, training=half, judges=other, halves=())
            write_json(file, _judge_half(part, config, work / f"half-{number + 1}", load, validate))
        said.append(read_json(file))
    first, *blends = (
        Judgement.together([_read(each["said"][str(share)]) for each in said]) for share in (0.0, *SHARES)
    )
    verdict, kept = decide(first, dict(zip(SHARES, blends, strict=True)), tried=len(SHARES), seed=config.seed)
    return Halves(verdict, by_source([source for each in said for source in each["sources"]], first, kept))


def half_of(config: TrainingConfig) -> TrainingConfig:
    """Return the settings of a training on half of the pairs."""
    return config.model_copy(update={"max_steps": config.max_steps and -(-config.max_steps // 2), "report_to": "none"})


def _judge_half(part: Prepared, config: TrainingConfig, work: Path, load: Load, validate: Validate) -> dict[str, Any]:
    """Return what the queries of one half say of the base and of the blends with what was trained on the other."""
    model = load()
    base = snapshot(model)
    validation = validate(model, part)
    said = {0.0: validation.judge(model)}
    if config.lora_rank:
        add_adapters(model, config.lora_rank)
    fit(model, half_of(config), part.folder.prompts, part.training, work, [DivergenceCallback()], last_whole(work))
    if config.lora_rank:
        merge_adapters(model)
    tuned = snapshot(model)
    if not is_finite(tuned):
        tuned = base  # nothing is to be had so, and the whole run will say why
    said |= {share: judge_blend(model, base, tuned, share, validation.judge) for share in SHARES}
    shutil.rmtree(work, ignore_errors=True)
    return {"said": {str(share): _written(each) for share, each in said.items()}, "sources": validation.sources}


def _written(judgement: Judgement) -> dict[str, Any]:
    joined = None if judgement.joined is None else judgement.joined.tolist()
    return {**vars(judgement), "dense": judgement.dense.tolist(), "joined": joined}


def _read(values: dict[str, Any]) -> Judgement:
    joined = None if values["joined"] is None else np.array(values["joined"])
    return Judgement(**{**values, "dense": np.array(values["dense"]), "joined": joined})
