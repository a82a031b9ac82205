"""Never worse: of the base, the tuned weights and blends of both, keep what held-back queries confirm."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from dragon_finetune.training.judgement import Judge, Judgement, halves, paired_p

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

SHARES = (0.25, 0.5, 0.75, 1.0)
Weights = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Verdict:
    """Which weights were kept, and why.

    Attributes:
        share: the share of the tuned weights, 0 (base) to 1 (tuned).
        base, kept: mean nDCG@10 over all held-back queries.
        chosen_on, confirmed_on: mean gain over the base on the half that chose and on the half that confirmed.
        p: one-sided p of that gain on the confirming half, by a paired sign-flip test.
        by_share: mean nDCG@10 over all held-back queries for every share tried.
    """

    share: float
    base: float
    kept: float
    chosen_on: float
    confirmed_on: float
    p: float
    by_share: dict[str, float]

    @property
    def name(self) -> str:
        """Return "base", "tuned", or "blend 0.75"."""
        return {0.0: "base", 1.0: "tuned"}.get(self.share, f"blend {self.share:g}")


def snapshot(model: "SentenceTransformer") -> Weights:
    """Return a copy of the weights, on the CPU."""
    return {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}


def blended(base: Weights, tuned: Weights, share: float) -> Weights:
    """Return (1 - share) * base + share * tuned.

    Source: Wortsman et al. 2022 (WiSE-FT, arXiv 2109.01903); for embedding models Xiao et al. 2023 (LM-Cocktail,
    arXiv 2311.13534). Tensors that are no floats are the base's.
    """
    return {
        name: torch.lerp(tensor, tuned[name], share) if tensor.is_floating_point() else tensor
        for name, tensor in base.items()
    }


def keep_the_best(
    model: "SentenceTransformer", base: Weights, judge: Judge, base_judgement: Judgement, seed: int
) -> tuple[Verdict, Judgement]:
    """Leave in `model` the best of base, tuned and blends; return why, and what was said of it.

    The share is chosen on one half of the held-back queries and must not lose to the base on the other; else the base
    is kept.

    Args:
        model: holds the tuned weights.
        base: the weights before training.
        judge: judges a model on the held-back queries.
        base_judgement: what it said of the base.
        seed: of the halves and the test.
    """
    tuned = snapshot(model)
    judgements: Mapping[float, Judgement] = {0.0: base_judgement} | {
        share: _judge_blend(model, base, tuned, share, judge) for share in SHARES
    }
    choosing, confirming = halves(len(base_judgement.ndcg), seed)
    # Of equals the smaller share: it stays nearer to what is known to work.
    share = max(judgements, key=lambda each: (round(float(judgements[each].ndcg[choosing].mean()), 12), -each))
    gain = {part: judgements[share].ndcg[rows] - base_judgement.ndcg[rows] for part, rows in
            (("choosing", choosing), ("confirming", confirming))}  # fmt: skip
    if len(confirming) and gain["confirming"].mean() < 0:
        share = 0.0
    model.load_state_dict(blended(base, tuned, share))
    confirmed = judgements[share].ndcg[confirming]
    verdict = Verdict(
        share=share,
        base=base_judgement.mean,
        kept=judgements[share].mean,
        chosen_on=float(gain["choosing"].mean()) if len(choosing) else 0.0,
        confirmed_on=float(gain["confirming"].mean()) if len(confirming) else 0.0,
        p=paired_p(confirmed, base_judgement.ndcg[confirming], seed=seed) if len(confirming) else 1.0,
        by_share={f"{each:g}": judgement.mean for each, judgement in judgements.items()},
    )
    return verdict, judgements[share]


def _judge_blend(model: "SentenceTransformer", base: Weights, tuned: Weights, share: float, judge: Judge) -> Judgement:
    model.load_state_dict(blended(base, tuned, share))
    return judge(model)


def is_finite(weights: Weights) -> bool:
    """Tell whether no weight is NaN or infinite."""
    return all(bool(torch.isfinite(tensor).all()) for tensor in weights.values() if tensor.is_floating_point())
