"""What a comparison of two runs over the same questions found."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from dragon_finetune.evaluation.era import Era
from dragon_finetune.evaluation.judged import JudgedComparison
from dragon_finetune.evaluation.leaks import LeakReport
from dragon_finetune.evaluation.statistics import PairedTest
from dragon_finetune.evaluation.verdict import Verdict, reach


class Names(NamedTuple):
    """What a report calls the parts of a score; `coverage` is "" where it is the score."""

    score: str
    coverage: str
    topics: str


NAMES = {
    "a": Names("score", "of that, topic coverage", "share of topics found"),
    "b": Names("quality", "", "share of the topics' words found"),
}


@dataclass(frozen=True)
class Group:
    """One category, difficulty, ... of the questions: mean scores and their paired difference."""

    base: float
    tuned: float
    test: PairedTest


@dataclass(frozen=True)
class Comparison:
    """A paired comparison of scores by the rules of one era.

    Attributes:
        era: the era, and what told it.
        base, tuned: mean scores, 1 to 5; in era B 0 to 5.
        score: the paired test of the scores.
        coverage: that of the score's part that topic coverage gives; what distances took is the rest. In era B, which
            looks at no distance, the same as `score`.
        topics: that of the share of expected topics found, in era B of their words, 0 to 1.
        groups: by "category", "difficulty", "source" and "temporal limit", as far as the questions have them.
        metrics: metric -> (base, tuned, test) over the questions that have a relevant chunk; {} without a corpus.
        unanswerable: ids of questions without any relevant chunk in the corpus.
        leaks: what was trained on; None if nobody looked.
        clean: the test of the rubric over the questions that did not leak; None if none leaked, or all did.
        clean_means: (base, tuned) mean rubric over them.
        tried: how many candidates were compared; `p` is corrected for that (Holm).
        p: of `score`, corrected.
        judged: what judged questions say of the two models; None if none were asked.
    """

    era: Era
    base: float
    tuned: float
    score: PairedTest
    coverage: PairedTest
    topics: PairedTest
    groups: dict[str, dict[str, Group]]
    metrics: dict[str, tuple[float, float, PairedTest]]
    unanswerable: list[Any]
    leaks: LeakReport | None
    clean: PairedTest | None
    clean_means: tuple[float, float] | None
    tried: int
    p: float
    judged: JudgedComparison | None = None

    @property
    def difference(self) -> float:
        """Mean of tuned - base over questions; `low` to `high` is its 95% interval."""
        return self.score.difference

    @property
    def low(self) -> float:
        """Lower end of the 95% interval."""
        return self.score.low

    @property
    def high(self) -> float:
        """Upper end of the 95% interval."""
        return self.score.high

    @property
    def verdict(self) -> Verdict:
        """What it means and what to do."""
        return reach(self)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON-safe values."""
        return {
            "verdict": self.verdict.to_dict(),
            "judged": self.judged.to_dict() if self.judged else None,
            **self.era.to_dict(),
            "base": self.base,
            "tuned": self.tuned,
            "p_corrected": self.p,
            "tried": self.tried,
            **{name: getattr(self, name).to_dict() for name in ("score", "coverage", "topics")},
            "groups": {
                key: {
                    name: {"base": group.base, "tuned": group.tuned, **group.test.to_dict()}
                    for name, group in groups.items()
                }
                for key, groups in self.groups.items()
            },
            "metrics": {
                name: {"base": base, "tuned": tuned, **test.to_dict()}
                for name, (base, tuned, test) in self.metrics.items()
            },
            "unanswerable": self.unanswerable,
            "leaks": self.leaks.to_dict() if self.leaks is not None else None,
            "clean": self.clean.to_dict() if self.clean else None,
        }

    def __str__(self) -> str:
        names = NAMES[self.era.name]
        lines = [
            str(self.verdict),
            *([str(self.judged)] if self.judged else []),
            f"judged by {self.era}",
            f"{names.score:<9} base {self.base:.2f}, tuned {self.tuned:.2f}: {self.score}",
            *([f"coverage  {self.coverage}"] if names.coverage else []),
            f"topics    {self.topics}",
        ]
        lines += [f"p corrected for {self.tried} candidates (Holm): {self.p:.4f}"] if self.tried > 1 else []
        lines += [
            f"{name:<9} base {base:.4f}, tuned {tuned:.4f}: {test.difference:+.4f} [{test.low:+.4f}, {test.high:+.4f}]"
            for name, (base, tuned, test) in self.metrics.items()
        ]
        if self.unanswerable:
            lines.append(f"no chunk is relevant to {len(self.unanswerable)} questions: {first_few(self.unanswerable)}")
        for key, groups in self.groups.items():
            lines += [
                f"  {key + ' ' + name:<28} {group.base:.2f} -> {group.tuned:.2f}  "
                f"[{group.test.low:+.2f}, {group.test.high:+.2f}]  ({group.test.questions})"
                for name, group in groups.items()
            ]
        if self.leaks is not None:
            lines.append(str(self.leaks))
        return "\n".join(lines)


def first_few(items: Sequence[Any]) -> str:
    """Return the first five items as text."""
    return ", ".join(map(str, items[:5])) + (", ..." if len(items) > 5 else "")
