"""The company's script, run as its scheduler would."""

import json
import subprocess
import sys
from pathlib import Path

import chromadb
import pytest
from conftest import make_pairs

SCRIPT = Path(__file__).parents[2] / "examples" / "pipeline" / "nightly.py"


def run(folder, *arguments):
    return subprocess.run(
        [sys.executable, str(SCRIPT), *map(str, arguments)], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
@pytest.mark.thorough
def test_two_nights(tiny, tmp_path, write_jsonl):
    houses = make_pairs(80)
    rows = [{"chunk_id": f"house-{n}", "text": each["positive_text"]} for n, each in enumerate(houses)]
    asked = [
        {"question_id": n, "question": houses[n]["query"], "answers": [f"house-{n}"]} for n in range(0, len(houses), 2)
    ]
    (tmp_path / "judged.json").write_text(json.dumps({"questions": asked}), encoding="utf-8")
    line = ("--questions", "judged.json", "--base-model", tiny)
    first = run(tmp_path, write_jsonl("texts.jsonl", rows), *line)
    assert first.returncode == 0, first.stderr
    assert "80 records in texts-" in first.stdout
    # A text less, and another one: what the first night loaded stays whole, under its own name.
    second = run(tmp_path, write_jsonl("texts.jsonl", [*rows[1:], {"chunk_id": "new", "text": "A quay."}]), *line)
    assert second.returncode == 2, second.stdout
    assert "house-0" in second.stderr  # a question's answer is gone
    (tmp_path / "judged.json").write_text(json.dumps({"questions": asked[1:]}), encoding="utf-8")
    third = run(tmp_path, "texts.jsonl", *line)
    assert third.returncode == 0, third.stderr
    client = chromadb.PersistentClient(str(tmp_path / "vector_stores"), chromadb.Settings(anonymized_telemetry=False))
    assert sorted(collection.count() for collection in client.list_collections()) == [80, 80]
