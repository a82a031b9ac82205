"""`dragon-finetune lexicon` as its user types it: what it makes and says, and that it survives kills and company."""

import json
import os
import sys
import time
from pathlib import Path

import pytest
from conftest import make_pairs, start_command

from dragon_finetune import FineTunedEmbedder
from dragon_finetune.index.chroma import open_client

COMMAND = Path(sys.executable).with_name("dragon-finetune")
LINES = [{"text": f"Zorbax{n} lit the lamp of the Oriel. House {n} has an oar of ash."} for n in range(30)]


@pytest.fixture
def place(tmp_path, write_jsonl):
    write_jsonl("chunks.jsonl", LINES)
    return tmp_path


def test_a_model_and_a_joined_collection_in_one_line(place, tiny, cli):
    assert cli(*"embed chunks.jsonl --out shards --store store --collection books -m".split(), tiny).returncode == 0
    line = "lexicon chunks.jsonl --output model --dimensions 128 --json --add-to store --collection books --as joined"
    done = cli(*line.split(), "-m", tiny)
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert (made["joined"], made["passages"], made["dimensions"]) == (30, 30, 128)
    assert open_client(place / "store").get_collection("joined", embedding_function=None).count() == 30
    looked = cli("doctor", "-m", "model", "--store", "store", "--collection", "joined")
    assert looked.returncode == 0, looked.stdout
    assert "joined: fresh" in looked.stdout
    again = cli(*line.split(), "-m", tiny)
    assert json.loads(again.stdout)["seconds"] == made["seconds"]  # not made twice
    assert "lexical" in cli("doctor", "-m", "model", "--store", "store", "--collection", "books").stdout


def test_it_says_in_words_what_it_did(place, tiny, cli):
    said = cli("lexicon", "chunks.jsonl", "-m", tiny, "--output", "model").stdout
    assert "words of 30 passages in 2048 dimensions, share 0.5" in said
    assert "distances of the first and the fifth hit" in said


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_kill_leaves_no_half_folder_and_the_same_command_makes_it(place, tiny, cli):
    line = ["lexicon", "chunks.jsonl", "-m", str(tiny), "--output", "model", "--dimensions", "128"]
    for wait in (0.3, 1.2, 2.0):
        process = start_command(*line, cwd=place)
        time.sleep(wait)
        process.kill()
        process.communicate()
        if (place / "model").exists():
            assert FineTunedEmbedder(place / "model").dimension == 32 + 128 + 2
    assert cli(*line).returncode == 0
    assert FineTunedEmbedder(place / "model").dimension == 32 + 128 + 2


def test_two_at_once_make_one(place, tiny):
    line = ["lexicon", "chunks.jsonl", "-m", tiny, "--output", "model", "--dimensions", "128"]
    both = [start_command(*line, cwd=place) for _ in range(2)]
    said = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert said[0] == said[1]  # the seconds too: one made it, the other found it


def test_training_joins_words_by_the_command(place, tiny, cli, write_jsonl):
    write_jsonl("pairs.jsonl", make_pairs(20))
    (place / "few.yaml").write_text(
        "max_steps: 1\nbatch_size: 8\ndevice: cpu\non_overflow: truncate\n", encoding="utf-8"
    )
    line = "train pairs.jsonl --config few.yaml --output tuned --lexicon chunks.jsonl --base-model"
    done = cli(*line.split(), tiny)
    assert done.returncode == 0, done.stderr
    assert "words joined" in done.stdout
    assert "makes the dense vectors alone" in " ".join(done.stderr.split())  # of generation C's own manager
    assert FineTunedEmbedder(place / "tuned").dimension == 32 + 2048 + 2
