"""Which era an answers file is from, how that is told and overruled, and that era B is judged by era B's rules."""

import json

import pytest
from conftest import run_here

from dragon_finetune.evaluation.quality import score_quality
from dragon_finetune.evaluation.scores import evaluate_results
from dragon_finetune.files import write_json

NAME_A = "answers_baseline_retrieval_semantic_search.json"
CHUNKS = [
    {"text": "Iron Jorun lit the lamp.", "distance": 1.4, "source": "book", "source_file": "b.jsonl"},
    {"text": "Nothing at all.", "distance": 1.5, "source": "book", "source_file": "b.jsonl"},
    {"text": "The keel and the oar.", "distance": 1.6, "source": "book", "source_file": "b.jsonl"},
]
OF_A = {
    "detected_category": "plot",
    "classification_confidence": 0.5,
    "routing_strategy": "narrative",
    "temporal_filter_applied": False,
}


def results(chunks=CHUNKS, **keys):
    return [
        {
            "question_id": n,
            "question": f"who lit lamp {n}",
            "category": ["plot", "concept"][n % 2],
            "difficulty": ["easy", "medium", "hard"][n % 3],
            "temporal_limit": None,
            "expected_topics": [["lamp"], ["oar", "keel"], ["a whole other thing"]][n % 3],
            "retrieved_chunks": chunks,
            **keys,
        }
        for n in range(12)
    ]


def write(folder, name, answered=None, **metadata):
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    write_json(file, {"metadata": metadata, "results": answered or results()})
    return name


@pytest.fixture
def cli(tmp_path, monkeypatch):
    """Return the command, run in this process in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return run_here


# name, records' keys, metadata, era, what the reason says
KINDS = {
    "A by its name": (NAME_A, {}, {}, "a", "its name"),
    "A by its name in its folder": (f"data/testing/{NAME_A}", {}, {}, "a", "its name"),
    "B by its name": ("data/testing/results/answers_baseline_retrieval.json", {}, {}, "b", "its name"),
    "B by its name, whatever the phase": ("answers_phase 2 tuned_retrieval.json", {}, {}, "b", "its name"),
    "A's keys": ("base.json", OF_A, {}, "a", "routing_strategy"),
    "A's collections": ("base.json", OF_A, {"collections_used": ["narrative", "reference"]}, "a", "routing_strategy"),
    "B's collection": ("base.json", {**OF_A, "collections_used": ["books"]}, {}, "b", "books"),
    "B's collection in the metadata": ("base.json", {}, {"collections_used": ["characters", "books"]}, "b", "books"),
    "B's question keys": ("base.json", {"sample_citation": "A Tale, 3"}, {}, "b", "sample_citation"),
    "B's question keys, one unset": ("base.json", {"key_challenges": None}, {}, "b", "key_challenges"),
    "nothing tells": ("base.json", {}, {}, "a", "nothing in it tells"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_era_is_recognised_and_the_reason_told(tmp_path, cli, kind):
    name, keys, metadata, era, why = KINDS[kind]
    write(tmp_path, name, results(**keys), **metadata)
    printed = cli("evaluate", name)
    assert f"era {era.upper()}" in printed.stdout, printed.stderr
    assert why in printed.stdout
    told = json.loads(cli("evaluate", name, "--json").stdout)
    assert (told["era"], why in told["era_because"]) == (era, True)
    compared = json.loads(cli("compare", name, name, "--json").stdout)
    assert (compared["era"], why in compared["era_because"]) == (era, True)
    assert f"era {era.upper()}" in cli("compare", name, name).stdout
    other = "b" if era == "a" else "a"
    for command in (["evaluate", name], ["compare", name, name]):
        overruled = json.loads(cli(*command, "--era", other, "--json").stdout)
        assert (overruled["era"], "--era" in overruled["era_because"]) == (other, True)


def test_era_b_is_evaluated_by_its_quality_and_has_no_tier(tmp_path, cli):
    write(tmp_path, "answers_x_retrieval.json")
    expected = [score_quality(each, each["retrieved_chunks"]) for each in results()]
    told = json.loads(cli("evaluate", "answers_x_retrieval.json", "--json").stdout)
    mean = sum(score.quality for score in expected) / len(expected)
    assert told["mean"] == told["quality"]["mean"] == pytest.approx(mean)
    assert told["tier"] is None
    assert told["flagged"] == [n for n, score in enumerate(expected) if score.flagged] != []
    assert told["by_difficulty"]["easy"] == {"mean": expected[0].quality, "count": 4}
    printed = cli("evaluate", "answers_x_retrieval.json").stdout
    assert f"era B quality {mean:.2f} of 5 over 12 questions" in printed
    assert f"{len(told['flagged'])} of 12 flagged" in printed
    for word in ("MVP", "pivot", "minimal", "distances"):
        assert word not in printed


def test_era_b_is_compared_by_its_quality(tmp_path, cli):
    better = [{**CHUNKS[0], "text": "The lamp, the oar, the keel, a whole other thing."}] * 3
    write(tmp_path, "answers_base_retrieval.json")
    write(tmp_path, "answers_tuned_retrieval.json", results(better))
    # The base has no name that tells: it is judged as the other.
    write(tmp_path, "base.json")
    for base in ("answers_base_retrieval.json", "base.json"):
        done = cli("compare", base, "answers_tuned_retrieval.json", "--json", "--html", "x.html", "--markdown", "x.md")
        told = json.loads(done.stdout)
        assert told["era"] == "b", done.stderr
        assert told["base"] == pytest.approx(sum(score_quality(r, CHUNKS).quality for r in results()) / 12)
        assert told["tuned"] == pytest.approx(sum(score_quality(r, better).quality for r in results()) / 12)
        assert (told["verdict"]["outcome"], told["verdict"]["tier"], done.returncode) == ("better", None, 0)
        assert told["calibration"] is None
    printed = cli("compare", "answers_base_retrieval.json", "answers_tuned_retrieval.json").stdout
    page = (tmp_path / "x.html").read_text(encoding="utf-8")
    for text in (printed, page, (tmp_path / "x.md").read_text(encoding="utf-8")):
        assert "quality" in text
        assert "distance" not in text.lower().replace(".verdict.distances", "")
        assert "MVP" not in text


def test_files_of_two_eras_are_not_compared_unless_somebody_says_how(tmp_path, cli):
    write(tmp_path, NAME_A)
    write(tmp_path, "answers_tuned_retrieval.json")
    done = cli("compare", NAME_A, "answers_tuned_retrieval.json")
    assert done.returncode == 2
    assert NAME_A in done.stderr
    assert "answers_tuned_retrieval.json" in done.stderr
    assert "--era" in done.stderr
    assert cli("compare", NAME_A, "answers_tuned_retrieval.json", "--era", "b").returncode == 1


def test_what_era_b_does_not_read_need_not_be_there(tmp_path, cli):
    bare = [{"text": chunk["text"]} for chunk in CHUNKS]
    write(tmp_path, "answers_x_retrieval.json", results(bare))
    assert cli("evaluate", "answers_x_retrieval.json").returncode == 0
    assert cli("compare", "answers_x_retrieval.json", "answers_x_retrieval.json", "--html", "x.html").returncode == 1
    as_a = cli("evaluate", "answers_x_retrieval.json", "--era", "a")
    assert (as_a.returncode, "the distance is None" in as_a.stderr) == (2, True)


@pytest.mark.parametrize("order", ["3", [3], True, float("nan")])
def test_an_order_that_is_no_number_is_named(tmp_path, cli, order):
    chunks = [{**CHUNKS[0], "temporal_order": order}]
    (tmp_path / "answers_x_retrieval.json").write_text(json.dumps({"results": results(chunks)}), encoding="utf-8")
    done = cli("evaluate", "answers_x_retrieval.json")
    assert done.returncode == 2
    assert "question 0, chunk 1: temporal_order is" in done.stderr


def test_the_library_takes_an_era_too(tmp_path):
    assert evaluate_results(results(), era="b").mean != evaluate_results(results()).mean
    write(tmp_path, "answers_x_retrieval.json")
    assert evaluate_results(tmp_path / "answers_x_retrieval.json").era.name == "b"


@pytest.mark.parametrize("name", [NAME_A, "answers_x_retrieval.json"])
def test_a_baseline_is_printed_only_when_it_is_given(tmp_path, cli, name):
    write(tmp_path, name)
    for option in ([], ["--json"]):
        said = cli("evaluate", name, *option).stdout
        assert "over the baseline" not in said
        assert "percent_over" not in said
        assert "1.40 " not in said.replace("5% 1.40", "")
    asked = json.loads(cli("evaluate", name, "--baseline", "1.40", "--json").stdout)
    assert asked["percent_over_baseline"] == pytest.approx(100 * (asked["mean"] / 1.4 - 1))
    assert "over the baseline of 1.40: " in cli("evaluate", name, "--baseline", "1.40").stdout
    for bad in ("0", "-1", "nan", "x"):
        assert cli("evaluate", name, "--baseline", bad).returncode == 2
