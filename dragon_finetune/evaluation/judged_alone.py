"""Judged questions as the only test: one model's figures, or the comparison of several with a base."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dragon_finetune.errors import SettingsError
from dragon_finetune.evaluation.asking import JudgedQuestions
from dragon_finetune.evaluation.judged import JudgedComparison
from dragon_finetune.evaluation.leaks import LeakReport
from dragon_finetune.evaluation.metrics import mean_metrics
from dragon_finetune.evaluation.runs import Corpus
from dragon_finetune.evaluation.statistics import holm
from dragon_finetune.evaluation.training_record import leaks_among, training_pairs
from dragon_finetune.evaluation.verdict import Verdict


@dataclass(frozen=True)
class JudgedSummary:
    """Mean metrics of one model over judged questions; `leaks` is None if nobody looked."""

    questions: int
    metrics: dict[str, float]
    leaks: LeakReport | None

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-safe values."""
        leaks = self.leaks.to_dict() if self.leaks is not None else None
        return {"questions": self.questions, "metrics": self.metrics, "leaks": leaks}

    def __str__(self) -> str:
        lines = [f"{self.questions:,} judged questions"]
        lines += [f"{name:<10} {value:.4f}" for name, value in self.metrics.items()]
        return "\n".join([*lines, str(self.leaks) if self.leaks is not None else _UNCHECKED])


@dataclass(frozen=True)
class JudgedOutcome:
    """Comparisons with the base, best nDCG@10 first; `p` of each is corrected for their number (Holm)."""

    names: list[str]
    comparisons: list[JudgedComparison]
    p: list[float]
    leaks: list[LeakReport | None]

    @property
    def verdict(self) -> Verdict:
        """What the best comparison means."""
        return _verdict(self.comparisons[0], self.p[0], self.leaks[0])

    @property
    def exit_code(self) -> int:
        """0 when the best candidate believably finds more, else 1."""
        return self.verdict.exit_code

    def to_dict(self) -> dict[str, Any]:
        """Return the best comparison as JSON-safe values, with all under "candidates"."""
        leaks = self.leaks[0].to_dict() if self.leaks[0] is not None else None
        candidates = [
            {"name": name, "p_corrected": p, "judged": each.to_dict()}
            for name, each, p in zip(self.names, self.comparisons, self.p, strict=True)
        ]
        best = {"verdict": self.verdict.to_dict(), "judged": self.comparisons[0].to_dict(), "leaks": leaks}
        return {**best, "candidates": candidates}

    def __str__(self) -> str:
        several = len(self.names) > 1
        lines = [f"best of {len(self.names)} candidates: {self.names[0]}"] if several else []
        lines += [str(self.verdict), str(self.comparisons[0])]
        if several:
            rows = zip(self.names, self.comparisons, self.p, strict=True)
            lines += [f"  {name:<40.40} nDCG@10 {each.all.cells()[0]}  p {p:.4f}" for name, each, p in rows]
        return "\n".join([*lines, *([str(self.leaks[0])] if self.leaks[0] is not None else [])])


_UNCHECKED = "Leaks were not looked for: give --pairs, or a model folder that tells."


def evaluate_judged(model: str, file: Path, corpus: Corpus, pairs: Path | None = None) -> JudgedSummary:
    """Return how a model ranks the answers of judged questions over a corpus; `pairs`: as for `judge_alone`."""
    asked = JudgedQuestions(file, corpus, model)
    leaks = leaks_among(asked.told_apart, training_pairs(pairs, model))
    return JudgedSummary(len(asked.told_apart), mean_metrics(asked.base), leaks)


def judge_alone(
    base: str, candidates: Sequence[str], file: Path, corpus: Corpus, pairs: Path | None = None, *, seed: int = 0
) -> JudgedOutcome:
    """Return what judged questions say of models against a base.

    Args:
        base, candidates: model folders, hub names, or "embedded".
        file: of the questions (`load_judged`).
        corpus: whose chunks answer them.
        pairs: the training pairs, to look for leaks; default: what the tuned folder tells.
        seed: of the resampling.

    Raises:
        DataError: a bad file; names the question.
        SettingsError: an answers file in a model's place.
    """
    require_models((base, *candidates))
    asked = JudgedQuestions(file, corpus, base, seed=seed)
    found = [asked.compare(model) for model in candidates]
    leaks = [leaks_among(asked.told_apart, training_pairs(pairs, model)) for model in candidates]
    p = holm([each.all.ndcg.p for each in found])
    order = sorted(range(len(found)), key=lambda place: -found[place].all.tuned[0])
    return JudgedOutcome(
        [candidates[place] for place in order],
        [found[place] for place in order],
        [p[place] for place in order],
        [leaks[place] for place in order],
    )


def require_models(sources: Sequence[str]) -> None:
    """Raise SettingsError where an answers file is to be asked questions."""
    for source in sources:
        if source.endswith(".json"):
            raise SettingsError(
                f"judged questions are asked of models, and {source} is an answers file. Give the models."
            )


def _verdict(comparison: JudgedComparison, p: float, leaks: LeakReport | None) -> Verdict:
    test = comparison.all.ndcg
    if leaks:
        return Verdict(
            "contaminated",
            None,
            f"Contaminated: {len(leaks.leaks)} of {test.questions} judged questions were trained on. Take the leaking "
            "pairs out and train again.",
            True,
        )
    shown = p < 0.05 and not test.low <= 0 <= test.high
    outcome = "not shown" if not shown else "finds more" if test.low > 0 else "finds less"
    words = {
        "finds more": "The tuned model believably finds more",
        "finds less": "The tuned model believably finds less; keep the base",
        "not shown": f"No difference is shown; keep the base. {test.questions} questions spread like these show a gain "
        f"of {test.detectable:.3f} or more",
    }[outcome]
    figures = f"nDCG@10 {test.difference:+.3f}, 95% interval {test.low:+.3f} to {test.high:+.3f}, p {p:.4f}"
    checked = "" if leaks is not None else f" {_UNCHECKED}"
    return Verdict(outcome, None, f"{words} ({figures}).{checked}", leaks is not None)
