"""`dragon-finetune quantize` as its user types it, and what embeds and is examined by it."""

import json

import pytest

LINES = [{"chunk_id": f"c{n}", "text": f"Zorbax{n} lit the lamp of House {n} with an oar of ash."} for n in range(30)]
JUDGED = [{"question_id": n, "question": f"What lit Zorbax{n}?", "answers": [f"c{n}"]} for n in range(30)]


@pytest.fixture
def place(tmp_path, write_jsonl, monkeypatch):
    monkeypatch.setenv("DRAGON_FINETUNE_CACHE", str(tmp_path / "cache"))
    write_jsonl("chunks.jsonl", LINES)
    (tmp_path / "judged.json").write_text(json.dumps({"questions": JUDGED}), encoding="utf-8")
    return tmp_path


def test_from_chunks_to_a_fresh_int8_index(place, tiny, cli):
    done = cli("quantize", "chunks.jsonl", "--judged", "judged.json", "--json", "-m", tiny)
    made = json.loads(done.stdout)
    accepted = {(each["documents"], each["queries"]) for each in made["pairings"] if each["accepted"]}
    assert made["texts"] == 30
    assert len(made["pairings"]) == 3
    assert made["verdict"] == ("accepted" if {("int8", "int8"), ("int8", "fp32")} & accepted else "refused")
    assert done.returncode == (0 if made["verdict"] == "accepted" else 1), done.stderr
    embedded = cli(
        *"embed chunks.jsonl --out shards --store store --collection books --precision int8 -m".split(), tiny
    )
    assert embedded.returncode == 0, embedded.stderr
    assert ("stepping back from int8 to fp32" in embedded.stderr) == (made["verdict"] == "refused")
    looked = cli(*"doctor --store store --precision int8 -m".split(), tiny)
    assert looked.returncode == 0, looked.stdout


def test_unmeasured_is_no_acceptance(place, tiny, cli):
    done = cli("quantize", "chunks.jsonl", "-m", tiny)
    assert done.returncode == 1, done.stderr
    assert "unmeasured" in done.stdout
    embedded = cli("embed", "chunks.jsonl", "--out", "shards", "--precision", "int8", "-m", tiny)
    assert embedded.returncode == 0
    assert "(openvino-int8 on " in embedded.stdout
    assert "unmeasured: nobody knows what it loses" in embedded.stderr


def test_int8_without_a_form_names_the_command(place, tiny, cli):
    done = cli("embed", "chunks.jsonl", "--out", "shards", "--precision", "int8", "-m", tiny)
    assert done.returncode == 2
    assert "dragon-finetune quantize CHUNKS..." in done.stderr


def test_vectors_in_less_room(place, tiny, cli):
    done = cli("embed", "chunks.jsonl", "--out", "shards", "--vectors", "int8", "-m", tiny)
    assert done.returncode == 0, done.stderr
    (file,) = (place / "shards").glob("*-int8.parquet")
    assert f"all vectors in int8: {file}" in done.stdout
    wrong = cli("embed", "chunks.jsonl", "--out", "shards", "--vectors", "int4", "-m", tiny)
    assert wrong.returncode == 2
    assert "is not one of" in wrong.stderr
