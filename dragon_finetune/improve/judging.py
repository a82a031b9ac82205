"""What the test's questions say of the base, it with words, and the tuned model."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from dragon_finetune.evaluation.asking import JudgedQuestions
from dragon_finetune.evaluation.comparing import compare
from dragon_finetune.evaluation.comparison import Comparison
from dragon_finetune.evaluation.judged import Found, JudgedComparison
from dragon_finetune.evaluation.runs import Corpus, Run, load_run
from dragon_finetune.improve.places import Places
from dragon_finetune.improve.questions import Questions

JUDGED, RUBRIC = "nDCG@10", "the host's score"


@dataclass(frozen=True)
class Gain:
    """A mean before and after, and the difference with its 95% interval."""

    before: float
    after: float
    low: float
    high: float

    @property
    def difference(self) -> float:
        """After less before."""
        return self.after - self.before

    @property
    def word(self) -> str:
        """Whether a difference is shown: "better", "worse" or "can't tell"."""
        return "better" if self.low > 0 else "worse" if self.high < 0 else "can't tell"

    def __str__(self) -> str:
        return f"{self.before:.3f} -> {self.after:.3f}, {self.difference:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"

    @classmethod
    def found(cls, found: Found) -> "Gain":
        """Return the gain in nDCG@10."""
        return cls(found.base[0], found.tuned[0], found.ndcg.low, found.ndcg.high)


@dataclass(frozen=True)
class Judgement:
    """What the questions say.

    Attributes:
        by: in what the gains are: `JUDGED` or `RUBRIC`.
        questions: how many were asked.
        gains: candidate ("joined", "tuned") -> gain over the base.
        training: the tuned model's gain over the base with words; None without a training.
        kinds: kind of question -> candidate -> gain over the base.
        detectable: the least gain that so many questions like these would show.
    """

    by: str
    questions: int
    gains: Mapping[str, Gain]
    training: Gain | None
    kinds: Mapping[str, Mapping[str, Gain]]
    detectable: float

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-safe values."""
        kinds = {kind: {name: vars(gain) for name, gain in gains.items()} for kind, gains in self.kinds.items()}
        gains = {name: vars(gain) for name, gain in self.gains.items()}
        training = vars(self.training) if self.training else None
        return {**vars(self), "gains": gains, "training": training, "kinds": kinds}


class Test:
    """The test's questions; the base, and each candidate, is asked them once.

    Args:
        questions: the test.
        places: where the corpus and its vectors lie.
        base: the base model.
    """

    def __init__(self, questions: Questions, places: Places, base: str) -> None:
        self._questions, self._base = questions, base
        self._corpus = Corpus((places.chunks,), None if questions.judged else questions.file, places.vectors)
        self._runs: dict[str, Run] = {}

    def ask(self, candidates: Mapping[str, str]) -> Judgement:
        """Return what the questions say of the candidates ("joined", "tuned": their folders) against the base."""
        return self._by_answers(candidates) if self._questions.judged else self._by_rubric(candidates)

    @cached_property
    def _judged(self) -> JudgedQuestions:
        return JudgedQuestions(self._questions.file, self._corpus, self._base)

    def _by_answers(self, candidates: Mapping[str, str]) -> Judgement:
        found = {name: self._judged.compare(model) for name, model in candidates.items()}
        beside = self._judged.compare(candidates["tuned"], candidates["joined"]) if "tuned" in candidates else None
        training = Gain.found(beside.all) if beside else None
        gains = {name: Gain.found(each.all) for name, each in found.items()}
        test = found["joined"].all.ndcg
        return Judgement(JUDGED, test.questions, gains, training, _by_kind(found), test.detectable)

    def _by_rubric(self, candidates: Mapping[str, str]) -> Judgement:
        first, of = self._run(self._base), {name: self._run(model) for name, model in candidates.items()}
        scored = {name: _scored(first, run) for name, run in of.items()}
        gains = {name: _gain(each) for name, each in scored.items()}
        training = _gain(_scored(of["joined"], of["tuned"])) if "tuned" in of else None
        asked = len(first.evaluation.questions)
        return Judgement(RUBRIC, asked, gains, training, {}, scored["joined"].score.detectable)

    def _run(self, model: str) -> Run:
        if model not in self._runs:
            self._runs[model] = load_run(model, self._corpus)
        return self._runs[model]


def _scored(before: Run, after: Run) -> Comparison:
    return compare(before.evaluation, after.evaluation, leaks=None)


def _gain(found: Comparison) -> Gain:
    return Gain(found.base, found.tuned, found.low, found.high)


def _by_kind(found: Mapping[str, JudgedComparison]) -> dict[str, dict[str, Gain]]:
    kinds: dict[str, dict[str, Gain]] = {}
    for name, comparison in found.items():
        for kind, each in comparison.kinds.items():
            kinds.setdefault(f"{kind} ({each.ndcg.questions})", {})[name] = Gain.found(each)
    return kinds
