"""Which weights a run keeps, and what it has to say for them."""

from pathlib import Path
from typing import Any, NamedTuple

from sentence_transformers import SentenceTransformer

from dragon_finetune.model_folder import ModelFolder
from dragon_finetune.pair import read_pairs
from dragon_finetune.tokens.audit import audit_tokens
from dragon_finetune.training.adapters import merge_adapters
from dragon_finetune.training.blend import Verdict, Weights, blended, is_finite, keep_the_best, snapshot
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


class Watched(NamedTuple):
    """What watched a run: what judges (None: nothing), its word on the base, what halves said, and the callbacks."""

    validation: Validation | None
    first: Judgement | None
    halves: Halves | None
    looks: ValidationCallback | None
    guard: DivergenceCallback


def keep(
    model: SentenceTransformer, base: Weights, config: TrainingConfig, watched: Watched
) -> tuple[dict[str, Any], Weights | None]:
    """Leave the weights to save in `model`; return what was kept and why, in the names of TrainingResult.

    Returns also the tuned weights where the base is kept because nothing can be told of them.
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
        model.load_state_dict(blended(base, tuned, halves.verdict.share))
        return _told(halves.verdict, halves.by_source, {}, trouble, tuned)
    if validation is None or first is None or looks is None:
        return {"kept": "tuned", "unproven": _NOT_ASKED_FOR, "validation": {}, "trouble": trouble}, None
    verdict, kept = keep_the_best(
        model, base, validation.judge, first, last=looks.best, looks=len(looks.curve), seed=config.seed
    )
    return _told(verdict, by_source(validation.sources, first, kept), looks.curve, trouble, tuned)


def _told(
    verdict: Verdict,
    by_source: dict[str, dict[str, float]],
    curve: dict[int, float],
    trouble: str | None,
    tuned: Weights,
) -> tuple[dict[str, Any], Weights | None]:
    cannot_tell = verdict.outcome == "can't tell"
    kept = verdict.best if verdict.share else verdict.base
    outcome = {
        "kept": verdict.name,
        "validation": {"base": verdict.base, "tuned": verdict.by_share["1"], "kept": kept},
        "validation_by_source": by_source,
        "verdict": vars(verdict),
        "unproven": _cannot_tell(verdict) if cannot_tell else None,
        "curve": curve,
        "trouble": trouble,
    }
    return outcome, tuned if cannot_tell else None


def _cannot_tell(verdict: Verdict) -> str:
    return (
        f"{verdict.queries} queries can't tell the tuned weights from the base (nDCG@10 {verdict.difference:+.4f}, 95% "
        f"interval [{verdict.low:+.4f}, {verdict.high:+.4f}], p {verdict.p:.3f}), so the base is kept; the tuned ones "
        f"lie in {UNPROVEN}/. More queries that are not trained on can tell (--judge FILE)"
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
