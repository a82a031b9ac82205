"""Never worse: of the base, the tuned weights and their blend, keep what queries show to be better than the base."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch

from dragon_finetune.evaluation.statistics import paired_test
from dragon_finetune.training.judgement import Judge, Judgement, paired_p

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

BLENDS = {"blend 0.5": 0.5, "tuned": 1.0}
"""Candidate -> its share of the tuned weights."""
LEVEL = 0.05
"""The p below which a gain is taken for one."""
Weights = dict[str, torch.Tensor]
Outcome = Literal["better", "can't tell", "worse"]


@dataclass(frozen=True)
class Verdict:
    """Which weights were kept, and why.

    Attributes:
        outcome: of the best of what was tried against the base: "better", shown by p; "worse", where the interval lies
            below zero; else "can't tell". Only what is better is kept.
        candidate: the best of what was tried: "tuned", "blend 0.5", or one of the others by its name.
        share: the share of the tuned weights that is kept, 0 (none) to 1 (tuned).
        queries: how many judged.
        base: mean nDCG@10 of the base.
        best: that of the best of what was tried; `difference` is best - base, `low` to `high` its 95% interval.
        p: one-sided p of that gain by a paired sign-flip test, times `tried` (Bonferroni), at most 1.
        tried: how many weights the best was chosen from: looks, blends and others.
        by_candidate: mean nDCG@10 of each that was tried.
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
    by_candidate: dict[str, float]
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
    names = [*others, *BLENDS]
    judgements = {"tuned": last} if last else {}
    for name in names:
        if name not in judgements:
            model.load_state_dict(weights_of(name, base, tuned, others))
            judgements[name] = judge(model)
    inorder = {name: judgements[name] for name in names}
    verdict, kept = decide(first, inorder, tried=len(names) - 1 + max(1, looks), seed=seed)
    model.load_state_dict(weights_of(verdict.name, base, tuned, others))
    return verdict, kept


def weights_of(name: str, base: Weights, tuned: Weights, others: Mapping[str, Weights]) -> Weights:
    """Return the weights of a candidate by its name; the base's where there is none of that name."""
    return blended(base, tuned, BLENDS[name]) if name in BLENDS else others.get(name, base)


def decide(
    first: Judgement, judgements: Mapping[str, Judgement], *, tried: int, seed: int = 0
) -> tuple[Verdict, Judgement]:
    """Return which of the candidates to keep and why, and what was said of what is kept.

    Args:
        first: what was said of the base.
        judgements: candidate -> what was said of it, those first that stay nearest to what is known to work.
        tried: from how many weights the best is chosen.
        seed: of the test.
    """
    # Of equals the first.
    candidate = max(judgements, key=lambda name: round(judgements[name].mean, 12))
    best = judgements[candidate]
    test = paired_test(first.ndcg, best.ndcg, seed=seed)
    p = min(1.0, tried * paired_p(best.ndcg, first.ndcg, seed=seed))
    outcome: Outcome = "better" if p < LEVEL else "worse" if test.high < 0 else "can't tell"
    better = outcome == "better"
    verdict = Verdict(
        outcome=outcome,
        candidate=candidate,
        share=BLENDS.get(candidate, 0.0) if better else 0.0,
        queries=test.questions,
        base=first.mean,
        best=best.mean,
        difference=test.difference,
        low=test.low,
        high=test.high,
        p=p,
        tried=tried,
        by_candidate={name: judgement.mean for name, judgement in judgements.items()},
        dense={"base": float(first.dense.mean()), "best": float(best.dense.mean())},
        joined={}
        if first.joined is None or best.joined is None
        else {"base": float(first.joined.mean()), "best": float(best.joined.mean())},
    )
    return verdict, best if better else first


def is_finite(weights: Weights) -> bool:
    """Tell whether no weight is NaN or infinite."""
    return all(bool(torch.isfinite(tensor).all()) for tensor in weights.values() if tensor.is_floating_point())
