"""The whole path on a tiny model: made once, known again, redone where an input changed."""

import json
import os
import random
import subprocess
import sys
import time

import pytest
from works import TRAINING, request_of, write_lines, write_works

from dragon_finetune import FineTunedEmbedder
from dragon_finetune.errors import DataError
from dragon_finetune.files import read_jsonl
from dragon_finetune.improve.improving import improve, look_ahead

KILLS = int(os.environ.get("KILLS", "3"))


def never(plan):
    raise AssertionError("asked for what is known")


def silent(text):
    pass


def made(request, confirm=lambda plan: True):
    return improve(request, confirm=confirm, say=silent)


@pytest.fixture(scope="module")
def works(tmp_path_factory):
    return write_works(tmp_path_factory.mktemp("works"))


@pytest.fixture(scope="module")
def first(works, tiny, tmp_path_factory):
    """Return the request and what was made of it, once for all tests that only look."""
    request = request_of(works, tiny, tmp_path_factory.mktemp("made") / "out")
    return request, made(request)


def state_of(output):
    """Return the bytes of everything that counts: models, shards, page, and the texts as they were read."""
    names = ("chunks.jsonl", "report.html")
    files = [output / name for name in names]
    files += [file for folder in ("models", "vectors") for file in (output / folder).rglob("*.safetensors")]
    files += sorted((output / "vectors").rglob("*.parquet"))
    files += [output / "models" / "joined" / name for name in ("lexicon.json", "level.json")]
    return {str(file.relative_to(output)): file.read_bytes() for file in sorted(files)}


def test_everything_lies_where_it_is_said(first):
    request, done = first
    out = request.output
    assert {"chunks.jsonl", "models", "plan.json", "report.html", "vectors"} <= {path.name for path in out.iterdir()}
    assert done.training.pairs["training"] == 80 - done.plan.dropped
    assert set(done.judgement.gains) == {"joined", "tuned"}
    assert set(done.judgement.kinds) == {"a (20)", "b (20)"}
    assert done.choice.name in ("joined", "tuned")
    # What is to be pasted is a model that embeds.
    assert FineTunedEmbedder(done.model).embed_query("who keeps the oar")
    json.dumps(done.to_dict())


def test_the_page_says_what_to_do_and_loads_nothing(first):
    _, done = first
    page = done.page.read_text(encoding="utf-8")
    assert done.model in page
    assert "all 40" in page
    assert "src=" not in page
    assert "href=" not in page
    assert "http" not in page


def test_the_same_again_asks_nothing_trains_nothing_embeds_no_text_and_says_the_same(first, monkeypatch):
    request, done = first
    before = state_of(request.output)
    roles = []
    real = FineTunedEmbedder.encode
    monkeypatch.setattr(
        FineTunedEmbedder,
        "encode",
        lambda self, texts, *, role, **more: roles.append(role) or real(self, texts, role=role, **more),
    )
    monkeypatch.setattr("dragon_finetune.training.finetune.FineTuner._run", never)
    assert str(made(request, never)) == str(done)
    assert "document" not in roles
    assert state_of(request.output) == before


def test_other_questions_touch_no_model(works, first, tmp_path):
    request, _ = first
    content = json.loads(works["questions"].read_text(encoding="utf-8"))
    fewer = tmp_path / "fewer.json"
    fewer.write_text(json.dumps({"questions": content["questions"][:30]}), encoding="utf-8")
    weights = {name: data for name, data in state_of(request.output).items() if name.endswith("safetensors")}
    again = made(request_of(works, request.base_model, request.output, questions=fewer))
    assert again.judgement.questions == 30
    after = state_of(request.output)
    assert {name: data for name, data in after.items() if name.endswith("safetensors")} == weights
    made(request)  # as the other tests want it


def test_another_text_is_joined_trained_beside_and_embedded_alone(works, tiny, tmp_path):
    request = request_of(works, tiny, tmp_path / "out", pairs=None)
    one = made(request)
    more = [*(record for _, record in read_jsonl(works["chunks"])), {"chunk_id": "new", "text": "A new quay stands."}]
    works = {**works, "chunks": write_lines(tmp_path / "more.jsonl", more)}
    two = made(request_of(works, tiny, tmp_path / "out", pairs=None))
    assert (two.plan.texts, one.plan.texts) == (121, 120)
    assert two.words.fingerprint != one.words.fingerprint
    found = [record["chunk_id"] for _, record in read_jsonl(tmp_path / "out" / "chunks.jsonl")]
    assert found[-1] == "new"


def test_without_questions_and_pairs_it_says_that_nothing_judges(works, tiny, tmp_path):
    done = made(request_of(works, tiny, tmp_path / "out", questions=None, pairs=None))
    assert done.judgement is None
    assert done.choice.name == "joined"
    assert not done.choice.shown
    assert "nothing here can judge it" in str(done)
    assert "Nothing was trained" in done.page.read_text(encoding="utf-8")


def test_a_hosts_questions_judge_by_its_score_and_it_is_said(works, tiny, tmp_path):
    hosts = [
        {
            "question_id": n,
            "question": f"who keeps the {thing}?",
            "category": "c",
            "difficulty": "easy",
            "temporal_limit": None,
            "expected_topics": [thing, "stair"],
        }
        for n, thing in enumerate(["tide", "lamp", "bell", "salt"])
    ]
    file = tmp_path / "hosts.json"
    file.write_text(json.dumps({"questions": hosts}), encoding="utf-8")
    done = made(request_of(works, tiny, tmp_path / "out", questions=file, pairs=None))
    assert done.judgement.by == "the host's score"
    assert any("counts expected topics and distances" in said for said in done.advice)


def test_pairs_that_ask_what_the_test_asks_are_left_out_and_counted(works, tiny, tmp_path):
    asked = json.loads(works["questions"].read_text(encoding="utf-8"))["questions"]
    leaking = [{"query": each["question"], "positive_text": "House 7 keeps nothing."} for each in asked[:5]]
    own = [record for _, record in read_jsonl(works["pairs"])]
    pairs = write_lines(tmp_path / "pairs.jsonl", [*own, *leaking])
    before = look_ahead(request_of(works, tiny, tmp_path / "out"))
    plan = look_ahead(request_of(works, tiny, tmp_path / "out", pairs=pairs))
    assert (plan.pairs, plan.dropped) == (before.pairs, before.dropped + 5)
    assert f"{plan.dropped} pairs ask what the test asks" in str(plan)
    only = write_lines(tmp_path / "only.jsonl", leaking)
    with pytest.raises(DataError, match="all 5 pairs ask what the test asks"):
        look_ahead(request_of(works, tiny, tmp_path / "out", pairs=only))
    assert not (tmp_path / "out").exists()


def test_a_budget_cuts_training_or_leaves_it_out(works, tiny, tmp_path):
    whole = look_ahead(request_of(works, tiny, tmp_path / "out"))
    none = look_ahead(request_of(works, tiny, tmp_path / "out", budget=1e-3))
    assert none.steps == 0
    assert "the budget is too short for training" in str(none)
    assert (whole.models, none.models) == (2, 1)


def test_chunks_longer_than_the_base_reads_are_said_before_the_work(works, tiny, tmp_path):
    long = write_lines(
        tmp_path / "long.jsonl", [{"chunk_id": str(n), "text": "The ledger lies. " * 99} for n in range(9)]
    )
    plan = look_ahead(request_of({"chunks": long, "questions": None, "pairs": None}, tiny, tmp_path / "out"))
    assert plan.over_limit == 9
    assert f"dragon-finetune chunk {long} chunks.jsonl --model {tiny}" in str(plan)
    assert "dragon-finetune chunk" not in str(look_ahead(request_of(works, tiny, tmp_path / "out")))


def test_a_folder_of_long_texts_is_cut_at_what_the_base_reads(tiny, tmp_path):
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "long.md").write_text("The ledger lies. " * 200, encoding="utf-8")
    (notes / "short.txt").write_text("An oar was lost near the quay, and nobody asked.", encoding="utf-8")
    done = made(request_of({"chunks": notes, "questions": None, "pairs": None}, tiny, tmp_path / "out"))
    assert done.plan.over_limit == 0
    assert done.plan.texts > 10
    ids = [record["chunk_id"] for _, record in read_jsonl(tmp_path / "out" / "chunks.jsonl")]
    assert len({*ids}) == len(ids)
    assert any("short.txt" in identity for identity in ids)


def test_no_leaves_the_plan_and_nothing_else(works, tiny, tmp_path):
    assert made(request_of(works, tiny, tmp_path / "out"), lambda plan: False) is None
    assert not (tmp_path / "out" / "models").exists()


def test_a_folder_of_something_else_is_left_alone(works, tiny, tmp_path):
    (tmp_path / "letters.txt").write_text("dear", encoding="utf-8")
    with pytest.raises(DataError, match="holds no improvement"):
        made(request_of(works, tiny, tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["letters.txt"]


SCRIPT = """
import json, sys
from pathlib import Path
from dragon_finetune.improve.improving import improve
from dragon_finetune.improve.request import Request
values = json.loads(sys.argv[1])
request = Request(tuple(map(Path, values["chunks"])), values["base"], Path(values["output"]), Path(values["questions"]),
                  Path(values["pairs"]), training=values["training"])
print(improve(request, confirm=lambda plan: True))
"""


@pytest.mark.slow
def test_killed_at_random_moments_it_ends_with_the_same_models_shards_and_page(works, first, tiny, tmp_path):
    request, _ = first
    out = tmp_path / "out"
    values = {name: str(works[name]) for name in ("questions", "pairs")}
    values |= {"chunks": [str(works["chunks"])], "base": str(tiny), "output": str(out), "training": TRAINING}
    command = [sys.executable, "-c", SCRIPT, json.dumps(values)]
    chance = random.Random(KILLS)
    for _ in range(KILLS):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(chance.uniform(4, 25))
        process.kill()
        process.wait()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    here, there = state_of(out), state_of(request.output)
    assert here.keys() == there.keys()
    page = here.pop("report.html").decode(), there.pop("report.html").decode()
    assert page[0].replace(str(out), "OUT") == page[1].replace(str(request.output), "OUT")
    assert here == there
