"""Two runs over the same questions put side by side, question by question."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dragon_finetune.errors import DataError
from dragon_finetune.evaluation.comparison import Comparison, Group, first_few
from dragon_finetune.evaluation.era import agreed
from dragon_finetune.evaluation.judged import JudgedComparison
from dragon_finetune.evaluation.leaks import LeakReport
from dragon_finetune.evaluation.metrics import Ranking, mean_metrics
from dragon_finetune.evaluation.scores import Evaluation, evaluate, evaluate_results
from dragon_finetune.evaluation.statistics import PairedTest, holm, paired_test

Results = Evaluation | Path | str | Sequence[Mapping[str, Any]]
Rankings = Mapping[Any, Ranking | None]
_KEYS = ("difficulty", "category", "source", "temporal limit")


def compare(
    base: Results,
    tuned: Results,
    *,
    leaks: LeakReport | None = None,
    rankings: tuple[Rankings, Rankings] | None = None,
    judged: JudgedComparison | None = None,
    seed: int = 0,
) -> Comparison:
    """Return the paired comparison of two runs, given as Evaluations, answers files, or what `retrieve` returned.

    Both are judged by the era that either tells.

    Args:
        base: the run that is to be beaten.
        tuned: the run of the tuned model.
        leaks: what `find_leaks` found; without it nobody has looked, and the verdict says so.
        rankings: of base and tuned by question id (`rank_results`), where the corpus is known.
        judged: what judged questions say of the two models (`compare_judged`).
        seed: of the resampling.

    Raises:
        DataError: the two runs are not over the same questions, or of different eras.
    """
    one, two = _evaluations(base, tuned)
    _require_same_questions(one, two)
    ids = list(one.scores)

    def test(part: str, over: Sequence[Any] = ids) -> PairedTest:
        pair = ([getattr(run.scores[each], part) for each in over] for run in (one, two))
        return paired_test(*pair, seed=seed)

    clean = _clean(ids, leaks)
    score = test("score")
    return Comparison(
        era=one.era,
        base=one.mean,
        tuned=two.mean,
        score=score,
        coverage=test("coverage_score"),
        topics=test("coverage"),
        groups=_groups(one, two, lambda members: test("score", members)),
        metrics=_metrics(rankings, ids, seed) if rankings else {},
        unanswerable=[each for each in ids if rankings and rankings[0].get(each) is None],
        leaks=leaks,
        clean=test("score", clean) if clean else None,
        clean_means=(_mean(one, clean), _mean(two, clean)) if clean else None,
        tried=1,
        p=score.p,
        judged=judged,
    )


def _clean(ids: Sequence[Any], leaks: LeakReport | None) -> list[Any]:
    """Return the questions that did not leak, where others did; else none."""
    unleaked = [each for each in ids if not leaks or each not in leaks.leaks]
    return unleaked if len(unleaked) < len(ids) else []


def _groups(
    one: Evaluation, two: Evaluation, test: Callable[[Sequence[Any]], PairedTest]
) -> dict[str, dict[str, Group]]:
    """Return the groups of each key that parts the questions into two or more."""
    members = {key: _members(one, one.scores, key) for key in _KEYS}
    return {
        key: {name: Group(_mean(one, ids), _mean(two, ids), test(ids)) for name, ids in groups.items()}
        for key, groups in members.items()
        if len(groups) > 1
    }


def correct_for_looking(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Return comparisons of several candidates with the same base, each with its p corrected for all (Holm)."""
    corrected = holm([comparison.score.p for comparison in comparisons])
    return [
        replace(comparison, p=p, tried=len(comparisons)) for comparison, p in zip(comparisons, corrected, strict=True)
    ]


def _evaluations(base: Results, tuned: Results) -> list[Evaluation]:
    found = [each if isinstance(each, Evaluation) else evaluate_results(each) for each in (base, tuned)]
    era = agreed(dict(zip(("the base", "the tuned model"), (each.era for each in found), strict=True)))
    return [each if each.era.name == era.name else evaluate(list(each.questions.values()), era) for each in found]


def _require_same_questions(one: Evaluation, two: Evaluation) -> None:
    odd = one.scores.keys() ^ two.scores.keys()
    if not odd:
        shared = one.questions.keys() & two.questions.keys()
        odd = {each for each in shared if one.questions[each]["question"] != two.questions[each]["question"]}
    if odd:
        some = first_few(sorted(map(str, odd)))
        raise DataError(f"the two results are over different questions (for instance {some}). Run both again.")


def _mean(run: Evaluation, ids: Sequence[Any]) -> float:
    return float(sum(run.scores[each].score for each in ids) / len(ids))


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
