"""Two runs over the same questions: what changed, whether to believe it, and what to do."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dragon_finetune.errors import DataError
from dragon_finetune.evaluation.leaks import LeakReport
from dragon_finetune.evaluation.metrics import Ranking, mean_metrics
from dragon_finetune.evaluation.rubric import Evaluation, evaluate_results
from dragon_finetune.evaluation.statistics import PairedTest, holm, paired_test
from dragon_finetune.evaluation.verdict import Verdict, reach

Results = Evaluation | Path | str | Sequence[Mapping[str, Any]]
Rankings = Mapping[Any, Ranking | None]


@dataclass(frozen=True)
class Group:
    """One category, difficulty, ... of the questions: mean scores and their paired difference."""

    base: float
    tuned: float
    test: PairedTest


@dataclass(frozen=True)
class Comparison:
    """A paired comparison of rubric scores.

    Attributes:
        base, tuned: mean rubric scores, 1 to 5.
        score: the paired test of the rubric.
        coverage: that of the rubric's part that topic coverage gives; what distances took is the rest.
        topics: that of the share of expected topics found, 0 to 1.
        groups: by "category", "difficulty", "source" and "temporal limit", as far as the questions have them.
        metrics: metric -> (base, tuned, test) over the questions that have a relevant chunk; {} without a corpus.
        unanswerable: ids of questions without any relevant chunk in the corpus.
        leaks: what was trained on; None if nobody looked.
        clean: the test of the rubric over the questions that did not leak; None if none leaked, or all did.
        clean_means: (base, tuned) mean rubric over them.
        tried: how many candidates were compared; `p` is corrected for that (Holm).
        p: of `score`, corrected.
    """

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
        lines = [
            str(self.verdict),
            f"score     base {self.base:.2f}, tuned {self.tuned:.2f}: {self.score}",
            f"coverage  {self.coverage}",
            f"topics    {self.topics}",
        ]
        lines += [f"p corrected for {self.tried} candidates (Holm): {self.p:.4f}"] if self.tried > 1 else []
        lines += [
            f"{name:<9} base {base:.4f}, tuned {tuned:.4f}: {test.difference:+.4f} [{test.low:+.4f}, {test.high:+.4f}]"
            for name, (base, tuned, test) in self.metrics.items()
        ]
        if self.unanswerable:
            lines.append(f"no chunk is relevant to {len(self.unanswerable)} questions: {_some(self.unanswerable)}")
        for key, groups in self.groups.items():
            lines += [
                f"  {key + ' ' + name:<28} {group.base:.2f} -> {group.tuned:.2f}  "
                f"[{group.test.low:+.2f}, {group.test.high:+.2f}]  ({group.test.questions})"
                for name, group in groups.items()
            ]
        if self.leaks is not None:
            lines.append(str(self.leaks))
        return "\n".join(lines)


def compare(
    base: Results,
    tuned: Results,
    *,
    leaks: LeakReport | None = None,
    rankings: tuple[Rankings, Rankings] | None = None,
    seed: int = 0,
) -> Comparison:
    """Return the paired comparison of two runs, given as Evaluations, answers files, or what `retrieve` returned.

    Args:
        base, tuned: the runs.
        leaks: what `find_leaks` found; without it nobody has looked, and the verdict says so.
        rankings: of base and tuned by question id (`rank_results`), where the corpus is known.
        seed: of the resampling.

    Raises:
        DataError: the two runs are not over the same questions.
    """
    one, two = _evaluation(base), _evaluation(tuned)
    _require_same_questions(one, two)
    ids = list(one.scores)

    def test(part: str, over: Sequence[Any] = ids) -> PairedTest:
        pair = ([getattr(run.scores[each], part) for each in over] for run in (one, two))
        return paired_test(*pair, seed=seed)

    unleaked = [each for each in ids if not leaks or each not in leaks.leaks]
    contaminated = len(unleaked) < len(ids)
    score = test("score")
    return Comparison(
        base=one.mean,
        tuned=two.mean,
        score=score,
        coverage=test("coverage_score"),
        topics=test("coverage"),
        groups={
            key: {
                name: Group(_mean(one, members), _mean(two, members), test("score", members))
                for name, members in _members(one, ids, key).items()
            }
            for key in ("difficulty", "category", "source", "temporal limit")
            if len(_members(one, ids, key)) > 1
        },
        metrics=_metrics(rankings, ids, seed) if rankings else {},
        unanswerable=[each for each in ids if rankings and rankings[0].get(each) is None],
        leaks=leaks,
        clean=test("score", unleaked) if contaminated and unleaked else None,
        clean_means=(_mean(one, unleaked), _mean(two, unleaked)) if contaminated and unleaked else None,
        tried=1,
        p=score.p,
    )


def correct_for_looking(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Return comparisons of several candidates with the same base, each with its p corrected for all (Holm)."""
    corrected = holm([comparison.score.p for comparison in comparisons])
    return [
        replace(comparison, p=p, tried=len(comparisons)) for comparison, p in zip(comparisons, corrected, strict=True)
    ]


def _evaluation(results: Results) -> Evaluation:
    return results if isinstance(results, Evaluation) else evaluate_results(results)


def _require_same_questions(one: Evaluation, two: Evaluation) -> None:
    odd = one.scores.keys() ^ two.scores.keys()
    if not odd:
        shared = one.questions.keys() & two.questions.keys()
        odd = {each for each in shared if one.questions[each]["question"] != two.questions[each]["question"]}
    if odd:
        some = _some(sorted(map(str, odd)))
        raise DataError(f"the two results are over different questions (for instance {some}). Run both again.")


def _some(items: Sequence[Any]) -> str:
    return ", ".join(map(str, items[:5])) + (", ..." if len(items) > 5 else "")


def _mean(run: Evaluation, ids: Sequence[Any]) -> float:
    return sum(run.scores[each].score for each in ids) / len(ids)


def _members(run: Evaluation, ids: Iterable[Any], key: str) -> dict[str, list[Any]]:
    groups: dict[str, list[Any]] = {}
    for each in ids:
        question = run.questions.get(each, {})
        if key == "temporal limit":
            name = "without" if question.get("temporal_limit") is None else "with"
        elif question.get(key) is None:
            continue
        else:
            name = str(question[key])
        groups.setdefault(name, []).append(each)
    order = {"easy": 0, "medium": 1, "hard": 2}
    return dict(sorted(groups.items(), key=lambda group: (order.get(group[0], 9), group[0])))


def _metrics(
    rankings: tuple[Rankings, Rankings], ids: Sequence[Any], seed: int
) -> dict[str, tuple[float, float, PairedTest]]:
    answerable = [each for each in ids if rankings[0].get(each) is not None]
    if not answerable:
        return {}
    found = []
    for run in rankings:
        per_question = [mean_metrics([ranking]) for each in answerable if (ranking := run[each]) is not None]
        found.append({name: [metrics[name] for metrics in per_question] for name in per_question[0]})
    return {
        name: (
            sum(found[0][name]) / len(answerable),
            sum(found[1][name]) / len(answerable),
            paired_test(found[0][name], found[1][name], seed=seed),
        )
        for name in found[0]
    }
