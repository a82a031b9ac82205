"""What has been done to a store leaves none of its files open: Windows deletes no folder that holds an open one."""

import time

import psutil
import pytest
from stores import build, make_texts, write_chunks

from dragon_finetune import FineTunedEmbedder
from dragon_finetune.embedding.lexical_folder import Words, make_lexical_folder
from dragon_finetune.index.bulk import embed_files
from dragon_finetune.index.collection import require_loadable
from dragon_finetune.index.doctor import examine
from dragon_finetune.index.joined_copy import join_collection
from dragon_finetune.index.loading import load_collection
from dragon_finetune.serve.corpus_reading import corpus_of_collection

TEXTS = [f"{text}. So it was told, {n} times over." for n, text in enumerate(make_texts(40))]


@pytest.fixture(scope="module")
def embedder(tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("words") / "model"
    return FineTunedEmbedder(make_lexical_folder(tiny, folder, Words(TEXTS, dimensions=64)).path, device="cpu")


def dense(embedder):
    return embedder.like(dense_only=True)


def load(embedder, store):
    file = write_chunks(store.parent / "chunks.jsonl", TEXTS)
    embed_files([file], store.parent / "shards", embedder)
    load_collection([file], store.parent / "shards", embedder, store, "loaded")


def open_below(folder):
    return [file.path for file in psutil.Process().open_files() if file.path.startswith(str(folder))]


DONE = {
    "doctor": lambda embedder, store: examine(embedder, store),
    "load": load,
    "ask whether it can be loaded": lambda embedder, store: require_loadable(str(store), "loaded", embedder),
    "join": lambda embedder, store: join_collection(embedder, store, "books", "joined"),
    "serve": lambda embedder, store: corpus_of_collection({"it": dense(embedder)}, store, "books"),
}


@pytest.mark.parametrize("what", DONE)
def test_no_file_of_the_store_stays_open(embedder, tmp_path, what):
    store = tmp_path / "store"
    build(store, TEXTS, dense(embedder).encode(TEXTS, role="document"))
    DONE[what](embedder, store)
    until = time.monotonic() + 10
    while (left := open_below(store)) and time.monotonic() < until:
        time.sleep(0.02)  # Chroma's own threads close the last of them
    assert left == []
