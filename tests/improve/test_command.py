"""`dragon-finetune improve`, as it is typed."""

import json

import pytest
from conftest import run_here
from works import write_works


def test_a_plan_leaves_nothing(cli, tiny, tmp_path):
    works = write_works(tmp_path)
    done = cli("improve", works["chunks"], "--base-model", tiny, "--output", "out", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "120 chunks" in done.stdout
    assert "nobody's questions to train on" in done.stdout
    assert not (tmp_path / "out").exists()


def test_one_line_from_texts_to_a_page(cli, tiny, tmp_path):
    works = write_works(tmp_path)
    line = ("improve", works["chunks"], "--base-model", tiny, "--output", "out", "--questions", works["questions"])
    done = cli(*line, "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["judgement"]["questions"] == 40
    assert (tmp_path / "out" / "report.html").is_file()
    # No terminal: nobody is asked. The plan is told all the same.
    assert "about" in done.stderr
    again = cli(*line)
    assert again.returncode == 0
    assert f"model_path: {tmp_path / 'out' / 'models'}" in again.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--budget", "8 runs"], "give a time, such as 2h"),
        (["--questions", "none.json"], "none.json"),
        (["--pairs", "none.jsonl"], "none.jsonl"),
        (["--on-overflow", "drop"], "on_overflow"),
    ],
)
def test_bad_input_is_named_and_leaves_nothing(tiny, tmp_path, arguments, said):
    works = write_works(tmp_path)
    done = run_here("improve", works["chunks"], "--base-model", tiny, "--output", tmp_path / "out", *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert not (tmp_path / "out" / "models").exists()
    # Nor does it stand in the way of the right line.
    right = run_here("improve", works["chunks"], "--base-model", tiny, "--output", tmp_path / "out", "--pairs", "gone")
    assert "gone" in right.stderr
