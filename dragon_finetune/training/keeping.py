"""Which weights a run keeps, and what it has to say for them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from sentence_transformers import SentenceTransformer

from dragon_finetune.model_folder import ModelFolder
from dragon_finetune.pair import read_pairs
from dragon_finetune.tokens.audit import audit_tokens
from dragon_finetune.training.adapters import merge_adapters
from dragon_finetune.training.blend import Verdict, Weights, is_finite, keep_the_best, snapshot, weights_of
from dragon_finetune.training.config import TrainingConfig
from dragon_finetune.training.divergence import DivergenceCallback
from dragon_finetune.training.halves import Halves
from dragon_finetune.training.judgement import Judgement
from dragon_finetune.training.precision import pick_precision
from dragon_finetune.training.validation import Validation, by_source
from dragon_finetune.training.watch import ValidationCallback

_PROBE = Path(__file__).with_name("general_probe.jsonl")
UNPROVEN = "unproven"
"""Where tuned weights lie, within the folder, that could not be told from the base."""
_NOT_ASKED_FOR = "validation_share is 0: nothing was held back, so nothing shows that this is better than the base"


class Spare(NamedTuple):
    """Weights that could not be told from the base, and what they are called."""

    name: str
    weights: Weights


class Watched(NamedTuple):
    """What watched a run: what judges (None: nothing), its word on the base, what halves said, and the callbacks."""

    validation: Validation | None
    first: Judgement | None
    halves: Halves | None
    looks: ValidationCallback | None
    guard: DivergenceCallback


def keep(
    model: SentenceTransformer,
    base: Weights,
    config: TrainingConfig,
    watched: Watched,
    others: Mapping[str, Weights],
) -> tuple[dict[str, Any], Spare | None]:
    """Leave the weights to save in `model`; return what was kept and why, in the names of TrainingResult.

    Returns also the best of `others`, or the tuned weights, where the base is kept because nothing can be told of them.
    """
    validation, first, halves, looks, guard = watched
    trouble = guard.trouble or (looks.trouble if looks else None)
    if looks and (best := looks.best_weights()):
        model.load_state_dict(best)
    if config.lora_rank:
        merge_adapters(model)
    tuned = snapshot(model)
    if not is_finite(tuned) or (trouble and looks is None):
        model.load_state_dict(base)
        return {"kept": "base", "validation": {"base": first.mean} if first else {}, "trouble": trouble}, None
    if halves:
        verdict, told, curve = halves.verdict, halves.by_source, {}
        model.load_state_dict(weights_of(verdict.name, base, tuned, others))
    elif validation is None or first is None or looks is None:
        kept = _called("tuned", config)
        return {"kept": kept, "unproven": _NOT_ASKED_FOR, "validation": {}, "trouble": trouble}, None
    else:
        verdict, judgement = keep_the_best(
            *(model, base, validation.judge, first),
            last=looks.best,
            looks=len(looks.curve),
            seed=config.seed,
            others=others,
        )
        told, curve = by_source(validation.sources, first, judgement), looks.curve
    cannot_tell = verdict.outcome == "can't tell"
    outcome = {
        "kept": _called(verdict.name, config),
        "validation": _scores(verdict, config),
        "validation_by_source": told,
        "verdict": {**vars(verdict), "candidate": _called(verdict.candidate, config)},
        "unproven": _cannot_tell(verdict, config) if cannot_tell else None,
        "curve": curve,
        "trouble": trouble,
    }
    name = verdict.candidate if verdict.candidate in others else "tuned"
    return outcome, Spare(name, weights_of(name, base, tuned, others)) if cannot_tell else None


def _scores(verdict: Verdict, config: TrainingConfig) -> dict[str, float]:
    """Return what was judged, but for blends, by the names that people know."""
    tried = {name: verdict.by_candidate[name] for name in verdict.by_candidate if not name.startswith("blend")}
    kept = verdict.best if verdict.outcome == "better" else verdict.base
    return {"base": verdict.base, **{_called(name, config): score for name, score in tried.items()}, "kept": kept}


def _called(name: str, config: TrainingConfig) -> str:
    """Return what is kept by its name: where documents are frozen only the query encoder is tuned."""
    if config.documents == "trained":
        return name
    return {"tuned": "query encoder", "blend 0.5": "query encoder, blend 0.5"}.get(name, name)


def _cannot_tell(verdict: Verdict, config: TrainingConfig) -> str:
    what = "tuned weights" if config.documents == "trained" else f"{_called(verdict.candidate, config)}"
    return (
        f"{verdict.queries} queries can't tell the {what} from the base (nDCG@10 {verdict.difference:+.4f}, 95% "
        f"interval [{verdict.low:+.4f}, {verdict.high:+.4f}], p {verdict.p:.3f}), so the base is kept; the {what} "
        f"can be tried in {UNPROVEN}/. More queries that are not trained on can tell (--judge FILE)"
    )


def forgetting(
    model: SentenceTransformer, base: Weights, folder: ModelFolder, config: TrainingConfig
) -> dict[str, float]:
    """Return nDCG@10 of base and kept weights on general knowledge, {} if the limit is too low for it."""
    probe = read_pairs(_PROBE)
    if audit_tokens(probe, folder).over_limit:
        return {}
    judge = Validation(probe, probe, folder, precision=pick_precision(config, model.device)).judge
    kept = snapshot(model)
    after = judge(model).mean
    model.load_state_dict(base)
    before = judge(model).mean
    model.load_state_dict(kept)
    return {"base": before, "kept": after}
