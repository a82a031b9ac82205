"""What an earlier version made is still fresh: a model folder and its shards, written before the rooms were rebuilt."""

import shutil
from pathlib import Path

import pytest

from dragon_finetune import FineTunedEmbedder
from dragon_finetune.index.bulk import embed_files
from dragon_finetune.index.doctor import examine
from dragon_finetune.index.loading import load_collection

MADE = Path(__file__).with_name("made_before")


@pytest.fixture
def embedder(tmp_path):
    model = shutil.copytree(MADE / "model", tmp_path / "model")
    return FineTunedEmbedder(model, device="cpu", precision="fp32", engine="torch")


def test_shards_are_recognised_and_nothing_is_embedded_again(embedder, tmp_path):
    shards = shutil.copytree(MADE / "shards", tmp_path / "shards")
    done = embed_files([MADE / "chunks.jsonl"], shards, embedder)
    assert (done.embedded, done.already_done) == (0, 4)


def test_an_index_of_them_is_fresh(embedder, tmp_path):
    shards = shutil.copytree(MADE / "shards", tmp_path / "shards")
    store = str(tmp_path / "store")
    assert load_collection([MADE / "chunks.jsonl"], shards, embedder, store, "books") == 4
    health = examine(embedder, store, chunks=[MADE / "chunks.jsonl"])
    assert health.fresh, health
