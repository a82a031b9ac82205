"""Never worse: of the base, the tuned weights and their blend, keep what queries show to be better than the base."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch

from dragon_finetune.evaluation.statistics import paired_test
from dragon_finetune.training.judgement import Judge, Judgement, paired_p

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_BLENDS = {"blend 0.5": 0.5, "tuned": 1.0}
LEVEL = 0.05
"""The p below which a gain is taken for one."""
Weights = dict[str, torch.Tensor]
Outcome = Literal["better", "can't tell", "worse"]


@dataclass(frozen=True)
class Verdict:
    """Which weights were kept, and why.

    Attributes:
        outcome: of the best of what was tried against the base: "better", shown by p; "can't tell"; or "worse", where
            its mean lies below the base's. Only what is better is kept.
        candidate: the best of what was tried: "tuned", "blend 0.5", or one of the others by its name.
        share: the share of the tuned weights that is kept, 0 (none) to 1 (tuned).
        queries: how many judged.
        base: mean nDCG@10 of the base.
        best: that of the best of what was tried; `difference` is best - base, `low` to `high` its 95% interval.
        p: one-sided p of that gain by a paired sign-flip test, times `tried` (Bonferroni), at most 1.
        tried: how many weights the best was chosen from: looks, blends and others.
        by_share: mean nDCG@10 of every blend, and by their names of the others.
        dense, joined: means of "base" and "best" without words in the vectors and with them.
    """

    outcome: Outcome
    candidate: str
    share: float
    queries: int
    base: float
    best: float
    difference: float
    low: float
    high: float
    p: float
    tried: int
    by_share: dict[str, float]
    dense: dict[str, float]
    joined: dict[str, float]

    @property
    def name(self) -> str:
        """Return what is kept: "base", or the candidate."""
        return self.candidate if self.outcome == "better" else "base"


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
    model: "SentenceTransformer",
    base: Weights,
    judge: Judge,
    first: Judgement,
    *,
    last: Judgement | None = None,
    looks: int = 1,
    seed: int = 0,
    others: Mapping[str, Weights] | None = None,
) -> tuple[Verdict, Judgement]:
    """Leave in `model` the best of tuned weights, blend and others if it beats the base beyond chance, else the base.

    Returns why, and what was said of what is kept.

    Args:
        model: holds the tuned weights.
        base: the weights before training.
        judge: judges a model.
        first: what it said of the base.
        last: what it said of the tuned weights, where it was asked: each asking embeds the corpus.
        looks: from how many looks the tuned weights were chosen.
        seed: of the test.
        others: name -> further weights to try.
    """
    tuned, others = snapshot(model), others or {}

    def weights(name: str) -> Weights:
        return others[name] if name in others else blended(base, tuned, _BLENDS[name])

    judgements = {"tuned": last} if last else {}
    names = [*others, *_BLENDS]
    judgements |= {name: _judge(model, weights(name), judge) for name in names if name not in judgements}
    # Of equals the first: it stays nearer to what is known to work.
    candidate = max(names, key=lambda name: round(judgements[name].mean, 12))
    best, tried = judgements[candidate], len(names) - 1 + max(1, looks)
    test = paired_test(first.ndcg, best.ndcg, seed=seed)
    p = min(1.0, tried * paired_p(best.ndcg, first.ndcg, seed=seed))
    outcome: Outcome = "better" if p < LEVEL else "can't tell" if test.difference > 0 else "worse"
    better = outcome == "better"
    model.load_state_dict(weights(candidate) if better else base)
    verdict = Verdict(
        outcome=outcome,
        candidate=candidate,
        share=_BLENDS.get(candidate, 0.0) if better else 0.0,
        queries=test.questions,
        base=first.mean,
        best=best.mean,
        difference=test.difference,
        low=test.low,
        high=test.high,
        p=p,
        tried=tried,
        by_share={f"{_BLENDS[name]:g}" if name in _BLENDS else name: judgements[name].mean for name in names},
        dense={"base": float(first.dense.mean()), "best": float(best.dense.mean())},
        joined={}
        if first.joined is None or best.joined is None
        else {"base": float(first.joined.mean()), "best": float(best.joined.mean())},
    )
    return verdict, best if better else first


def _judge(model: "SentenceTransformer", weights: Weights, judge: Judge) -> Judgement:
    model.load_state_dict(weights)
    return judge(model)


def is_finite(weights: Weights) -> bool:
    """Tell whether no weight is NaN or infinite."""
    return all(bool(torch.isfinite(tensor).all()) for tensor in weights.values() if tensor.is_floating_point())
