import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragon_finetune import compare, score_question, tier
from dragon_finetune.errors import DataError
from dragon_finetune.evaluation.rubric import QuestionScore
from dragon_finetune.evaluation.scores import Evaluation, evaluate_results

NEAR = [{"text": "Corvane cut off his grey sleeve", "distance": 0.4}] * 3


@pytest.mark.parametrize(
    ("topics", "chunks", "score"),
    [
        (["Corvane", "sleeve"], NEAR, 5),
        (["corvane", "SLEEVE", "grey", "q1", "q2"], NEAR, 4),
        (["corvane", "sleeve", "q1", "q2", "q3"], NEAR, 3),
        (["corvane", "q0", "q1", "q2", "q3"], NEAR, 2),
        (["w", "x"], NEAR, 1),
        (["Corvane"], [], 1),
        (["Corvane"], NEAR[:2], 4),
        (["Corvane"], [{**NEAR[0], "distance": 0.91}, *NEAR], 4),
        (["Corvane"], [NEAR[0], *[{**NEAR[0], "distance": 1.01}] * 2], 4),
        (["Corvane"], [NEAR[0], NEAR[0], *[{**NEAR[0], "distance": 1.01}] * 2], 5),
        (["Corvane"], [{**NEAR[0], "distance": 1.3}] * 2, 2),
        (["x"], [{**NEAR[0], "distance": 1.3}] * 2, 1),
    ],
)
def test_the_hosts_rules(topics, chunks, score):
    assert score_question({"expected_topics": topics}, chunks).score == score


def test_coverage_score_ignores_distances():
    far = [{"text": "Corvane", "distance": 1.9}] * 3
    result = score_question({"expected_topics": ["Corvane"]}, far)
    assert (result.score, result.coverage_score, result.found) == (3, 5, ("Corvane",))


@pytest.mark.parametrize(
    ("mean", "name"),
    [(1.0, "pivot"), (1.99, "pivot"), (2.0, "minimal"), (2.5, "good"), (3.0, "MVP"), (3.49, "MVP"), (3.5, "excellent")],
)
def test_tiers(mean, name):
    assert tier(mean).name == name


@pytest.mark.parametrize("mean", [1.0, 2.2, 2.7, 3.0, 3.49, 3.5, 5.0])
def test_the_words_of_a_tier_name_the_plans_mark_and_the_scripts(mean):
    words = tier(mean).words
    assert words.startswith(tier(mean).name)
    assert ("MVP by the plan (3.0), below the script's pass mark (3.5)" in words) == (3.0 <= mean < 3.5)
    assert ("past the plan's MVP (3.0) and the script's pass mark (3.5)" in words) == (mean >= 3.5)
    assert ("below the plan's MVP (3.0) and the script's pass mark (3.5)" in words) == (mean < 3.0)
    results = evaluation([round(mean)] * 3)
    results.questions.update({n: {"difficulty": "easy", "category": "plot"} for n in range(3)})
    assert tier(round(mean)).words in str(results)
    assert tier(round(mean)).words in compare(evaluation([2] * 9), evaluation([round(mean)] * 9)).verdict.sentence


def test_a_mean_outside_the_scale_has_no_tier():
    with pytest.raises(DataError, match="between 1 and 5"):
        tier(0.9)


def evaluation(scores):
    return Evaluation({n: QuestionScore(score, score, 0.0, (), None) for n, score in enumerate(scores)}, {})


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=2, max_size=40))
def test_difference_lies_in_its_interval_and_is_antisymmetric(scores):
    base, tuned = (evaluation(column) for column in zip(*scores, strict=True))
    forth, back = compare(base, tuned), compare(tuned, base)
    assert forth.low <= forth.difference <= forth.high
    assert forth.difference == pytest.approx(-back.difference)
    assert forth.score.better + forth.score.equal + forth.score.worse == len(scores)


def test_interval_agrees_with_scipys_bootstrap():
    from scipy import stats

    rng = np.random.default_rng(1)
    base, tuned = rng.integers(1, 6, 100), rng.integers(1, 6, 100)
    ours = compare(evaluation(base.tolist()), evaluation(tuned.tolist()))
    theirs = stats.bootstrap(((tuned - base).astype(float),), np.mean, method="percentile", rng=rng).confidence_interval
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.05)


def test_different_questions_are_not_compared():
    with pytest.raises(DataError, match="different questions"):
        compare(evaluation([1, 2]), evaluation([1, 2, 3]))


RESULT = {
    "question_id": 1,
    "question": "Who?",
    "category": "character",
    "difficulty": "easy",
    "temporal_limit": None,
    "expected_topics": ["Corvane"],
    "retrieved_chunks": NEAR,
}


def test_command_prints_score_and_tier(cli, tmp_path):
    file = tmp_path / "answers.json"
    file.write_text(json.dumps({"results": [RESULT]}), encoding="utf-8")
    assert "score 5.00 of 5 over 1 questions: excellent" in cli("evaluate", file).stdout
    report = json.loads(cli("evaluate", file, "--json").stdout)
    assert (report["mean"], report["tier"], report["by_category"]) == (
        5.0,
        "excellent",
        {"character": {"mean": 5.0, "count": 1}},
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"difficulty": "esy"}, "difficulty is 'esy'. Did you mean 'easy'"),
        ({"expected_topics": []}, "expected_topics is empty"),
        ({"category": None}, "'category' is missing"),
        ({"retrieved_chunks": [{"text": "x", "distance": float("nan")}]}, "question 1, chunk 1: the distance is nan"),
    ],
)
def test_bad_results_are_named(tmp_path, change, words):
    file = tmp_path / "answers.json"
    file.write_text(json.dumps({"results": [{**RESULT, **change}]}), encoding="utf-8")
    with pytest.raises(DataError, match=words):
        evaluate_results(file)


@pytest.mark.parametrize(
    ("content", "words"),
    [("", "not valid JSON"), ("{}", "at least one entry"), ('{"results": []}', "at least one entry")],
)
def test_no_results_file(tmp_path, cli, content, words):
    file = tmp_path / "answers.json"
    file.write_text(content, encoding="utf-8")
    done = cli("evaluate", file)
    assert done.returncode == 2
    assert words in done.stderr


def test_repeated_ids_are_refused(tmp_path):
    file = tmp_path / "answers.json"
    file.write_text(json.dumps({"results": [RESULT, RESULT]}), encoding="utf-8")
    with pytest.raises(DataError, match="question_id 1 occurs twice"):
        evaluate_results(file)
