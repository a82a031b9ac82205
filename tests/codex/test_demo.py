"""The demo, which runs the example codex end to end."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import EXAMPLES

from dragon_finetune.evaluation.scores import evaluate_results

CODEX = EXAMPLES / "dragons_codex"
ANSWERS = "answers_baseline_retrieval_semantic_search.json"


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    if made := os.environ.get("DEMO"):  # .ci/run made it by the wheel, and once is enough
        said = Path(made, "said.txt").read_text(encoding="utf-8")
        return Path(made, "out"), subprocess.CompletedProcess([], 0, said, "")
    out = tmp_path_factory.mktemp("demo") / "out"
    command = [str(Path(sys.executable).with_name("dragon-finetune")), "demo", "--quick", "--out", str(out)]
    return out, subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_demo_runs_the_whole_path(demo):
    out, done = demo
    assert done.returncode == 0, done.stderr
    summary = json.loads((out / "results" / "summary.json").read_text(encoding="utf-8"))
    for name in ("base", "tuned-joined"):
        assert summary[name]["mean"] == evaluate_results(out / "results" / name / ANSWERS).mean
        rubric = f"== {name}, by the codex's own rubric\nscore {summary[name]['mean']:.2f} of 5 over 100 questions"
        assert rubric in done.stdout
        # What is found stands first.
        assert done.stdout.index("200 judged questions   ") < done.stdout.index(rubric)
    assert "== base to tuned-joined" in done.stdout
    kinds = summary["comparisons"]["tuned-joined"]["judged"]["kinds"]
    assert {kind: found["nDCG@10"]["questions"] for kind, found in kinds.items()} == dict.fromkeys(
        ("named", "paraphrase", "keywords", "half_remembered"), 50
    )
    assert "95% interval" in done.stdout
    improved = out / "codex" / "improved"
    assert (improved / "models" / "tuned" / "lexicon.json").is_file()
    assert (improved / "models" / "tuned" / "dragon_finetune.json").is_file()
    assert "all 200" in (improved / "report.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_switch_and_its_model_are_the_only_difference_between_the_two_runs(demo):
    out, _ = demo
    ours, theirs = ((root / "codex.yaml").read_text(encoding="utf-8").splitlines() for root in (out / "codex", CODEX))
    assert [pair for pair in zip(ours, theirs, strict=True) if pair[0] != pair[1]] == [
        ("embedder: finetuned", "embedder: base"),
        ("  model_path: improved/models/tuned", "  model_path: models/finetuned"),
    ]


def test_the_demo_refuses_a_folder_of_something_else(cli, tmp_path):
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    done = cli("demo", "--out", tmp_path)
    assert done.returncode == 2
    assert "is not empty and holds no demo" in done.stderr
