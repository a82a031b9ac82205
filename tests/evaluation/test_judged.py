"""Judged questions: read with care, ranked by real models, and what they say decides the verdict."""

import json

import pytest
from conftest import run_here
from files_of_kinds import write_beir
from hypothesis import given
from hypothesis import strategies as st
from test_compare import BASE, BETTER, answers

from dragon_finetune import compare
from dragon_finetune.chunks import read_chunks
from dragon_finetune.errors import DataError
from dragon_finetune.evaluation.judged import compare_judged, load_judged
from dragon_finetune.evaluation.judged_alone import JudgedOutcome
from dragon_finetune.evaluation.leaks import Leak, LeakReport
from dragon_finetune.evaluation.metrics import rank

TEXTS = [f"House {n} keeps its {thing}." for n, thing in enumerate(("lamp", "oar", "bell", "salt", "wick"))]


def question(number, answers, **more):
    return {"question_id": number, "question": f"who keeps {number}", "answers": answers, **more}


@pytest.fixture
def chunks(write_jsonl):
    return write_jsonl("chunks.jsonl", [{"chunk_id": f"c{n}", "text": text} for n, text in enumerate(TEXTS)])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([], "holds no judged questions"),
        ({"questions": []}, "holds no judged questions"),
        ({"questions": [question(1, [])]}, "question 1 has no 'answers'"),
        ({"questions": [question(1, "c1")]}, "must be a list of chunk ids"),
        ({"questions": [question([1], ["c1"])]}, r"question_id is \[1\]; expected int or str"),
        ({"questions": [question({"n": 1}, ["c1"])]}, "question_id is {'n': 1}; expected int or str"),
        ({"questions": [question(1, ["c9"])]}, "no chunk has the id 'c9'"),
        ({"questions": [{"question_id": 1, "answers": ["c1"]}]}, "question 1 has no 'question'"),
        ({"questions": [question(1, ["c1"]), question(1, ["c2"])]}, "question_id 1 is there twice"),
    ],
)
def test_bad_files_are_refused_by_name(tmp_path, chunks, content, words):
    file = tmp_path / "judged.json"
    file.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(DataError, match=words):
        load_judged(file, list(read_chunks([chunks])))


def rankings(places):
    """Rankings in which the one right chunk stands at each place, 10: nowhere."""
    return [rank(["other"] * place + ["right"], {"right"}) for place in places]


def judged(base, tuned, kinds=("a",)):
    questions = [question(n, ["x"], kind=kinds[n % len(kinds)]) for n in range(len(base))]
    return compare_judged(questions, rankings(base), rankings(tuned))


@given(st.lists(st.integers(0, 12), min_size=2, max_size=30), st.integers(1, 4))
def test_kinds_part_the_questions_and_a_model_is_no_better_than_itself(places, kinds):
    found = judged(places, places, "abcd"[:kinds])
    assert (found.all.ndcg.difference, found.all.recall.difference) == (0, 0)
    assert sum(each.ndcg.questions for each in found.kinds.values()) in (0, len(places))
    assert len(found.kinds) == (min(kinds, len(places)) if kinds > 1 else 0)
    assert found.all.base[1] == pytest.approx(sum(place < 10 for place in places) / len(places))


GOOD, BAD = [0] * 40, [5] * 40


@pytest.mark.parametrize(
    ("found", "tuned", "scale", "outcome", "code"),
    [
        ((BAD, GOOD), BASE, 1.0, "finds more", 0),
        ((BAD, GOOD), BASE, 0.5, "better", 0),
        ((GOOD, GOOD), BASE, 0.5, "distances only", 1),
        ((GOOD, BAD), BASE, 0.5, "finds less", 1),
        ((GOOD, BAD), BETTER, 1.0, "finds less", 1),
        ((GOOD, GOOD), BASE, 1.0, "not shown", 1),
    ],
)
def test_what_is_found_decides_and_not_how_close(found, tuned, scale, outcome, code):
    verdict = compare(answers(BASE), answers(tuned, scale=scale), judged=judged(*found)).verdict
    assert (verdict.outcome, verdict.exit_code) == (outcome, code)
    assert "40 judged questions" in verdict.sentence or outcome == "better"
    assert ("smaller distances" in verdict.sentence) == (outcome == "finds less" and scale < 1)


def test_compare_asks_two_models_and_puts_it_first(tiny, trained, tmp_path, chunks):
    file = tmp_path / "judged.json"
    kinds = {"questions": [question(n, [f"c{n}"], kind="ab"[n % 2]) for n in range(5)]}
    file.write_text(json.dumps(kinds), encoding="utf-8")
    asked = {"category": "x", "difficulty": "easy", "expected_topics": ["lamp"]}
    questions = tmp_path / "questions.json"
    questions.write_text(
        json.dumps({"questions": [{"question_id": n, "question": f"where is {n}", **asked} for n in range(5)]}),
        encoding="utf-8",
    )
    models = ["compare", str(tiny), str(trained.path), "--chunks", str(chunks), "--questions", str(questions)]
    done = run_here(*models, "--judged", str(file), "--markdown", str(tmp_path / "out.md"))
    lines = done.stdout.splitlines()
    assert "nDCG@10" in lines[1]
    assert lines[2].startswith("5 judged questions")
    assert [line.split()[0] for line in lines[3:5]] == ["a", "b"]
    assert "| nDCG@10, 5 judged questions |" in (tmp_path / "out.md").read_text(encoding="utf-8")
    refused = run_here("compare", "answers.json", str(tiny), "--chunks", str(chunks), "--judged", str(file))
    assert refused.returncode == 2
    assert "judged questions are asked of models" in refused.stderr


def test_a_beir_folder_is_a_test_set_by_its_test_judgements_over_its_corpus(tiny, trained, tmp_path):
    folder = write_beir(tmp_path / "set", passages=9)
    done = run_here("compare", tiny, trained.path, "--judged", folder, "--json")
    found = json.loads(done.stdout)
    assert done.returncode == found["verdict"]["exit_code"]
    assert found["judged"]["nDCG@10"]["questions"] == 3
    assert found["leaks"]["queries"] > 0
    assert "BEIR, 3 queries, qrels/test.tsv: 3 answers (any score above 0)" in done.stderr
    assert "BEIR, 9 passages" in done.stderr
    one = run_here("evaluate", "--model", tiny, "--judged", folder / "qrels" / "dev.tsv", "--json")
    assert one.returncode == 0, one.stderr
    assert json.loads(one.stdout)["questions"] == 3
    assert "qrels/dev.tsv: 3 answers" in one.stderr


def test_judged_questions_alone_say_what_they_show(tiny, trained, tmp_path, chunks):
    file = tmp_path / "judged.json"
    file.write_text(json.dumps({"questions": [question(n, [f"c{n}"]) for n in range(5)]}), encoding="utf-8")
    done = run_here("compare", tiny, tiny, trained.path, "--chunks", chunks, "--judged", file)
    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith("best of 2 candidates")
    assert "No difference is shown; keep the base" in done.stdout


@pytest.mark.parametrize(
    ("base", "tuned", "p", "outcome", "code"),
    [(BAD, GOOD, 0.001, "finds more", 0), (GOOD, BAD, 0.001, "finds less", 1), (BAD, GOOD, 0.2, "not shown", 1)],
)
def test_alone_they_decide_by_the_corrected_p(base, tuned, p, outcome, code):
    found = JudgedOutcome(["m"], [judged(base, tuned)], [p], [None])
    assert (found.verdict.outcome, found.exit_code) == (outcome, code)
    assert "Leaks were not looked for" in str(found)


def test_alone_they_are_contaminated_by_a_leak():
    leak = LeakReport({1: Leak(1, "a", "a", "the same", 1.0)}, 9)
    found = JudgedOutcome(["m"], [judged(BAD, GOOD)], [0.001], [leak])
    assert (found.verdict.outcome, found.exit_code) == ("contaminated", 1)
