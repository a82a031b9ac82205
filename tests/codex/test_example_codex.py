"""The example codex: its data, and its own scripts under several embedders."""

import json
import os
import pickle
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import chromadb
import pytest
from conftest import EXAMPLES

from dragon_finetune.evaluation.questions import load_questions
from dragon_finetune.evaluation.scores import evaluate_results
from dragon_finetune.files import read_jsonl
from dragon_finetune.pair import read_pairs

CODEX = EXAMPLES / "dragons_codex"
ANSWERS = Path("data/testing/answers_baseline_retrieval_semantic_search.json")
SCORES = Path("data/testing/baseline_evaluation_detailed.json")
SCRIPTS = (
    "src.embedding.emb_03_embed_all_chunks",
    "src.embedding.create_collections",
    "tests.test_baselines_retrieval",
    "tests.evaluate_retrieval",
)


def chunks():
    return [record for file in sorted((CODEX / "data" / "chunks").glob("*.jsonl")) for _, record in read_jsonl(file)]


def words(text):
    return set(re.findall(r"\w+", text.lower()))


def run(script, codex, **environment):
    return subprocess.run(
        [sys.executable, "-m", script],
        cwd=codex,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def codex(tmp_path):
    return Path(shutil.copytree(CODEX, tmp_path / "codex", ignore=shutil.ignore_patterns("__pycache__")))


def switch_to(codex, line):
    text = (codex / "codex.yaml").read_text(encoding="utf-8")
    (codex / "codex.yaml").write_text(re.sub(r"(?m)^embedder: .*\n", line, text), encoding="utf-8")


def test_the_world_has_the_codexs_mix():
    from dragon_finetune import audit_tokens

    texts = [record["text"] for record in chunks()]
    assert len(texts) >= 250
    assert len(set(texts)) == len(texts)
    tokens = sorted(audit_tokens([text], "embedded").max_tokens for text in texts[::10])
    assert tokens[0] < 70
    assert tokens[-1] > 800


def test_the_questions_are_a_hundred_of_the_hosts_kinds():
    questions = load_questions(CODEX / "data" / "testing" / "questions_100.json")
    assert Counter(question["difficulty"] for question in questions) == {"easy": 40, "medium": 40, "hard": 20}
    assert Counter(question["category"] for question in questions) == {
        "character": 30,
        "concept": 20,
        "plot_event": 20,
        "prophecy": 10,
        "magic_system": 10,
        "cross_reference": 10,
    }
    assert all(3 <= len(question["expected_topics"]) <= 5 for question in questions)
    # A topic that stands nowhere in the world could never be found.
    everything = " ".join(record["text"] for record in chunks()).lower()
    missing = [(q["question_id"], t) for q in questions for t in q["expected_topics"] if t.lower() not in everything]
    assert not missing


def test_no_test_question_is_in_the_training_data():
    questions = [words(q["question"]) for q in load_questions(CODEX / "data" / "testing" / "questions_100.json")]
    pairs = read_pairs(CODEX / "data" / "training" / "pairs.jsonl")
    assert len(pairs) >= 300
    near = [
        pair.query
        for pair in pairs
        for question in questions
        if len(words(pair.query) & question) / len(words(pair.query) | question) >= 0.7
    ]
    assert not near


def test_the_scripts_run_under_another_plugin_and_survive_a_broken_one(codex, site):
    switch_to(codex, "embedder: letters\n")
    done = [run(script, codex, PYTHONPATH=str(site)) for script in SCRIPTS]
    assert [process.returncode for process in done] == [0, 0, 0, 1]
    assert "plugin broken skipped: ModuleNotFoundError" in done[0].stderr

    # The index is a real Chroma on disk with every chunk in it.
    client = chromadb.PersistentClient(str(codex / "vector_stores"), chromadb.Settings(anonymized_telemetry=False))
    collections = client.list_collections()
    assert {collection.name for collection in collections} == {"narrative", "reference"}
    assert sum(collection.count() for collection in collections) == len(chunks())
    with (codex / "data" / "embeddings" / "book_chunks.embeddings.pkl").open("rb") as stream:
        stored = pickle.load(stream)
    assert set(stored["chunk_0"]) == {"embedding", "text", "metadata"}

    # Parity: our rubric gives each question what the codex's own script gave it.
    theirs = json.loads((codex / SCORES).read_text(encoding="utf-8"))
    ours = evaluate_results(codex / ANSWERS)
    assert {e["question_id"]: e["retrieval_score"] for e in theirs["evaluations"]} == {
        identity: score.score for identity, score in ours.scores.items()
    }
    assert ours.mean == pytest.approx(theirs["statistics"]["overall"]["average"])
    assert ours.median == theirs["statistics"]["overall"]["median"]


@pytest.mark.parametrize("line", ["", "embedder: host\n"])
def test_without_the_switch_the_codexs_own_embedder_runs(codex, line):
    switch_to(codex, line)
    done = run(SCRIPTS[0], codex)
    assert done.returncode == 0, done.stderr
    assert "embedder: host" in done.stdout


def test_an_unknown_embedder_lists_the_known_ones(codex):
    switch_to(codex, "embedder: fintuned\n")
    done = run(SCRIPTS[0], codex)
    assert done.returncode == 1
    assert "no embedder 'fintuned'. Known: base, finetuned, host." in done.stderr


def test_finetuned_before_training_says_how_to_train(codex):
    switch_to(codex, "embedder: finetuned\n")
    done = run(SCRIPTS[0], codex)
    assert done.returncode == 1
    assert "Train one: `dragon-finetune train" in done.stderr
    assert not (codex / "data" / "embeddings").exists() or not any((codex / "data" / "embeddings").iterdir())
