"""The verdict: one sentence to act on, and an exit code for scripts."""

from dataclasses import asdict, dataclass
from typing import Any, Protocol

from dragon_finetune.evaluation.era import Era
from dragon_finetune.evaluation.judged import JudgedComparison
from dragon_finetune.evaluation.leaks import LeakReport
from dragon_finetune.evaluation.statistics import PairedTest
from dragon_finetune.evaluation.tiers import Tier, tier


class Compared(Protocol):
    """What a verdict is reached from; `comparison.Comparison` has it and says what each part is."""

    @property
    def era(self) -> Era: ...
    @property
    def base(self) -> float: ...
    @property
    def tuned(self) -> float: ...
    @property
    def score(self) -> PairedTest: ...
    @property
    def coverage(self) -> PairedTest: ...
    @property
    def metrics(self) -> dict[str, tuple[float, float, PairedTest]]: ...
    @property
    def leaks(self) -> LeakReport | None: ...
    @property
    def clean(self) -> PairedTest | None: ...
    @property
    def clean_means(self) -> tuple[float, float] | None: ...
    @property
    def tried(self) -> int: ...
    @property
    def p(self) -> float: ...
    @property
    def judged(self) -> JudgedComparison | None: ...


@dataclass(frozen=True)
class Verdict:
    """What a comparison means.

    Attributes:
        outcome: what is found decides: nDCG@10 of judged questions, else that by topics where the corpus is known, else
            topic coverage. "better" (it finds more, or covers more, and scores more); "finds more" (its score shows no
            difference); "distances only" (the same, but closer: the score alone is better); "finds less" (whatever the
            score); "worse" (the score, where no more is found); "not shown" (the intervals hold zero); or
            "contaminated".
        tier: of the tuned model; None in era B, which has none, and for a contaminated comparison, whose score means
            nothing.
        sentence: outcome, figures, and what to do next.
        leaks_checked: False if nobody looked for leaks: then the outcome holds only if there are none.
    """

    outcome: str
    tier: str | None
    sentence: str
    leaks_checked: bool

    @property
    def exit_code(self) -> int:
        """0 when the tuned model is believably better, or finds more at the same score, else 1."""
        return 0 if self.outcome in ("better", "finds more") else 1

    def to_dict(self) -> dict[str, Any]:
        """Return the fields and `exit_code` as JSON-safe values."""
        return {**asdict(self), "exit_code": self.exit_code}

    def __str__(self) -> str:
        return self.sentence


def reach(comparison: Compared) -> Verdict:
    """Return the verdict of a comparison."""
    if comparison.leaks:
        return _contaminated(comparison)
    outcome = _outcome(comparison)
    mark = tier(comparison.tuned) if comparison.era.name == "a" else _NO_MARK
    figures = (
        f"{comparison.base:.2f} to {comparison.tuned:.2f}: {comparison.score.difference:+.2f}, 95% interval "
        f"{comparison.score.low:+.2f} to {comparison.score.high:+.2f}, p {comparison.p:.4f}"
    )
    checked = comparison.leaks is not None
    words = mark.words if mark.name else "Era B's quality"
    parts = [f"{words}; {_IN_WORDS[outcome]} ({figures}).", _next_step(comparison, outcome, mark.advice)]
    parts += [] if checked else ["Leaks were not looked for: give --pairs, or a model folder that tells."]
    return Verdict(outcome, mark.name or None, " ".join(part for part in parts if part), checked)


_NO_MARK = Tier("", 0.0, "Era B has no pass mark; `evaluate` names the questions that it flags.")
_IN_WORDS = {
    "better": "believably better than the base",
    "distances only": "but by its distances only: it finds the same, closer",
    "finds more": "it finds more, and the score shows no difference",
    "finds less": "it finds less",
    "worse": "believably worse than the base",
    "not shown": "no difference shown",
}


def _outcome(comparison: Compared) -> str:
    found = _found(comparison)[1]
    shown = found.p < 0.05 and comparison.tried == 1
    if comparison.judged and shown and found.high < 0:
        return "finds less"
    if comparison.p >= 0.05 or comparison.score.low <= 0 <= comparison.score.high:
        return "finds more" if shown and found.low > 0 else "not shown"
    if comparison.score.high < 0:
        return "worse"
    more = comparison.coverage.low > 0 or (comparison.judged is not None and found.low > 0)
    return "better" if more else "distances only"


def _found(comparison: Compared) -> tuple[str, PairedTest]:
    """Return what says whether more is found, and its test."""
    if comparison.judged:
        return f"nDCG@10 of {comparison.judged.all.ndcg.questions} judged questions", comparison.judged.all.ndcg
    if "nDCG@10" in comparison.metrics:
        return "nDCG@10", comparison.metrics["nDCG@10"][2]
    return "topic coverage", comparison.coverage


def _next_step(comparison: Compared, outcome: str, advice: str) -> str:
    if outcome == "worse":
        return "Keep the base; lower the learning rate or mend the pairs before training again."
    name, gain = _found(comparison)
    by = f"By {name} the difference is {gain.difference:+.3f} ({gain.low:+.3f} to {gain.high:+.3f}, p {gain.p:.4f})."
    judged = f"{by} " if comparison.judged else ""
    if outcome == "finds less":
        closer = comparison.score.low > 0 >= comparison.coverage.low
        return f"{by}{' The better score comes from smaller distances.' if closer else ''} Keep the base."
    if outcome == "finds more":
        return (
            f"{by} The "
            "rubric takes points by raw distance too; `calibrate` shows what it gives by fair thresholds. Use it."
        )
    if outcome == "not shown":
        return (
            f"{judged}Keep the base. {comparison.score.questions} questions spread like these show a gain of "
            f"{comparison.score.detectable:.2f} or more; ask more questions, or train for a larger gain."
        )
    if outcome == "distances only":
        gain = comparison.coverage
        return (
            f"{judged}By topic coverage alone the gain is {gain.difference:+.2f} ({gain.low:+.2f} to "
            f"{gain.high:+.2f}): that more is found is not shown. The rubric takes points by raw distance, and "
            "training moved the distances; `calibrate` shows what it gives by fair thresholds. Train on more and "
            "better pairs."
        )
    return advice


def _contaminated(comparison: Compared) -> Verdict:
    assert comparison.leaks
    ids = ", ".join(str(each) for each in list(comparison.leaks.leaks)[:10])
    more = ", ..." if len(comparison.leaks.leaks) > 10 else ""
    sentence = (
        f"Contaminated, so no tier: {len(comparison.leaks.leaks)} of {comparison.score.questions} questions were "
        f"trained on ({ids}{more})."
    )
    if comparison.clean and comparison.clean_means:
        clean, (base, tuned) = comparison.clean, comparison.clean_means
        sentence += (
            f" On the {clean.questions} others: {base:.2f} to {tuned:.2f}, {clean.difference:+.2f}, 95% interval "
            f"{clean.low:+.2f} to {clean.high:+.2f}."
        )
    sentence += " Take the leaking pairs out (`dragon-finetune pairs --questions-to-avoid`) and train again."
    return Verdict("contaminated", None, sentence, True)
