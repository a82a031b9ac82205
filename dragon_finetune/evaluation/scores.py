"""The scores of a whole retrieval run: mean, by difficulty and category, in the era's own words."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dragon_finetune.evaluation.era import UNTOLD, Era, asked_for
from dragon_finetune.evaluation.quality import score_quality
from dragon_finetune.evaluation.questions import DIFFICULTIES, load_answers, require_judgeable
from dragon_finetune.evaluation.rubric import score_question
from dragon_finetune.evaluation.tiers import tier

_LEAKED = "no tier, for questions were trained on."


@dataclass(frozen=True)
class Evaluation:
    """All scores of one retrieval run, by era A's rubric. `scores` keeps the order of the file, by question id."""

    scores: dict[Any, Any]
    questions: dict[Any, Mapping[str, Any]]
    era: Era = UNTOLD

    @property
    def mean(self) -> float:
        """Mean score: 1 to 5, in era B 0 to 5."""
        return _mean([score.score for score in self.scores.values()])

    @property
    def coverage_only(self) -> float:
        """Mean score if distances took nothing: comparable between models, whose distances are not."""
        return _mean([score.coverage_score for score in self.scores.values()])

    @property
    def median(self) -> float:
        """Upper median, as the host computes it."""
        median: float = sorted(score.score for score in self.scores.values())[len(self.scores) // 2]
        return median

    @property
    def tier(self) -> str | None:
        """The tier's name; None in era B, which has none."""
        return tier(self.mean).name

    def by(self, key: str) -> dict[str, tuple[float, int]]:
        """Return group -> (mean score, number of questions) for `key` = "difficulty" or "category"."""
        groups: dict[str, list[float]] = {}
        for identity, score in self.scores.items():
            groups.setdefault(str(self.questions[identity][key]), []).append(score.score)
        order = sorted(groups, key=lambda name: (DIFFICULTIES.index(name) if name in DIFFICULTIES else 9, name))
        return {name: (_mean(groups[name]), len(groups[name])) for name in order}

    def to_dict(self) -> dict[str, Any]:
        """Return the evaluation as plain JSON-safe values."""
        return {
            **self.era.to_dict(),
            "mean": self.mean,
            "coverage_only": self.coverage_only,
            "median": self.median,
            "questions": len(self.scores),
            "tier": self.tier,
            "by_difficulty": {name: {"mean": mean, "count": n} for name, (mean, n) in self.by("difficulty").items()},
            "by_category": {name: {"mean": mean, "count": n} for name, (mean, n) in self.by("category").items()},
        }

    def __str__(self) -> str:
        return self.describe()

    def describe(self, *, with_tier: bool = True) -> str:
        """Return the scores as text; without the tier where questions leaked."""
        groups = [
            f"  {name:<16} {mean:.2f}  ({n})"
            for key in ("difficulty", "category")
            for name, (mean, n) in self.by(key).items()
        ]
        return "\n".join([*self._headlines(with_tier), f"  judged by {self.era}", *groups])

    def _headlines(self, with_tier: bool) -> list[str]:
        mark = tier(self.mean)
        return [
            f"score {self.mean:.2f} of 5 over {len(self.scores)} questions: "
            + (f"{mark.words}. {mark.advice}" if with_tier else _LEAKED),
            f"  coverage only    {self.coverage_only:.2f}  (distances took {self.coverage_only - self.mean:.2f})",
            f"  median           {self.median}",
        ]


class QualityEvaluation(Evaluation):
    """All scores of one retrieval run, by era B's quality, which looks at no distance and has no pass mark."""

    @property
    def tier(self) -> None:
        """None: era B has no tiers."""
        return None

    @property
    def flagged(self) -> list[Any]:
        """Ids of the questions that the host would flag."""
        return [identity for identity, score in self.scores.items() if score.flagged]

    def to_dict(self) -> dict[str, Any]:
        """Return the evaluation as plain JSON-safe values."""
        values = super().to_dict()
        del values["coverage_only"]
        each = [{"question_id": identity, **asdict(score)} for identity, score in self.scores.items()]
        return {**values, "flagged": self.flagged, "quality": {"mean": self.mean, "questions": each}}

    def _headlines(self, with_tier: bool) -> list[str]:
        scores = self.scores.values()
        flagged, spoilers = len(self.flagged), sum(score.spoiler for score in scores)
        parts = {name: _mean([getattr(score, name) for score in scores]) for name in _PARTS}
        return [
            f"era B quality {self.mean:.2f} of 5 over {len(scores)} questions: "
            + ("era B has no pass mark and no tiers." if with_tier else _LEAKED),
            f"  {flagged} of {len(scores)} flagged, {spoilers} spoilers",
            *(f"  {_PARTS[name]:<16} {mean:.2f}" for name, mean in parts.items()),
            f"  median           {self.median:.2f}",
        ]


_PARTS = {"coverage": "topics' words", "precision": "chunks on topic", "semantic": "TF-IDF cosine"}


def evaluate(results: Sequence[Mapping[str, Any]], era: Era) -> Evaluation:
    """Return the scores of retrieval results by the rules of an era."""
    kind, score = (QualityEvaluation, score_quality) if era.name == "b" else (Evaluation, score_question)
    return kind(
        scores={result["question_id"]: score(result, result["retrieved_chunks"]) for result in results},
        questions={result["question_id"]: result for result in results},
        era=era,
    )


def evaluate_results(source: Path | str | Sequence[Mapping[str, Any]], *, era: str | None = None) -> Evaluation:
    """Return the scores of retrieval results: a host's answers file, or what `retrieve` returned.

    Args:
        source: the file or the results.
        era: "a" or "b"; default: what the file tells, "a" of results.

    Raises:
        DataError: as `load_results`.
        SettingsError: there is no such era.
    """
    results, told = load_answers(source) if isinstance(source, (str, Path)) else (source, UNTOLD)
    judged_by = asked_for(era) if era is not None else told
    require_judgeable(results, source if isinstance(source, (str, Path)) else "results", judged_by.name)
    return evaluate(results, judged_by)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
