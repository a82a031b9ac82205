"""Bulk embedding: shards that survive kills, full disks and changed inputs; and into Chroma."""

import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from chroma_servers import chroma_server
from conftest import CORPUS, start_command

from dragon_finetune import FineTunedEmbedder
from dragon_finetune.chunks import read_chunks
from dragon_finetune.errors import DataError, StaleIndexError, TokenLimitError
from dragon_finetune.index.bulk import embed_files
from dragon_finetune.index.chroma import open_client
from dragon_finetune.index.shards import VectorStore

KILLS = int(os.environ.get("KILLS", "4"))


@pytest.fixture(scope="module")
def embedder(tiny):
    return FineTunedEmbedder(tiny, device="cpu", precision="fp32", on_overflow="split")


@pytest.fixture
def small_shards(monkeypatch):
    monkeypatch.setattr("dragon_finetune.index.bulk._SHARD_ROWS", 10)


def write_chunks(path: Path, count: int) -> Path:
    rows = [{"chunk_id": f"c{n}", "text": f"{n}. {CORPUS[n % 4]}", "tags": ["a", n], "order": n} for n in range(count)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def all_vectors(out, embedder, file):
    store = VectorStore(out, embedder)
    keys = embedder.vector_keys([chunk.text for chunk in read_chunks([file])])
    return np.stack([store.vector(key) for key in keys])


def test_every_text_gets_its_own_vector_and_nothing_is_done_twice(tmp_path, embedder, small_shards):
    file = write_chunks(tmp_path / "a.jsonl", 35)
    assert embed_files([file], tmp_path / "out", embedder).embedded == 35
    expected = embedder.encode([chunk.text for chunk in read_chunks([file])], role="document")
    np.testing.assert_allclose(all_vectors(tmp_path / "out", embedder, file), expected, atol=1e-5)
    again = embed_files([file, file], tmp_path / "out", embedder)
    assert (again.embedded, again.already_done) == (0, 35)


def test_only_a_changed_chunk_is_redone_and_another_model_starts_anew(tmp_path, embedder, tiny_models, small_shards):
    file = write_chunks(tmp_path / "a.jsonl", 25)
    embed_files([file], tmp_path / "out", embedder)
    lines = file.read_text(encoding="utf-8").splitlines()
    lines[7] = json.dumps({"text": "changed"})
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert embed_files([file], tmp_path / "out", embedder).embedded == 1
    other = FineTunedEmbedder(tiny_models["unigram"], device="cpu", precision="fp32", on_overflow="split")
    assert embed_files([file], tmp_path / "out", other).embedded == 25
    assert embed_files([file], tmp_path / "out", embedder).embedded == 0


def test_a_bad_line_is_refused_before_work_starts(tmp_path, tiny, small_shards):
    file = write_chunks(tmp_path / "a.jsonl", 25)
    with file.open("a", encoding="utf-8") as out:
        out.write('{"text": ""}\n')
    with pytest.raises(DataError, match=r"a\.jsonl, line 26"):
        embed_files([file], tmp_path / "out", FineTunedEmbedder(tiny, device="cpu"))
    assert not (tmp_path / "out").exists()


def test_a_text_over_the_limit_is_named(tmp_path, tiny):
    file = tmp_path / "a.jsonl"
    file.write_text(json.dumps({"text": "long " * 500}) + "\n", encoding="utf-8")
    with pytest.raises(TokenLimitError, match="1 of 1 texts"):
        embed_files([file], tmp_path / "out", FineTunedEmbedder(tiny, device="cpu"))


def test_a_shard_cut_short_is_named_and_the_others_stay(tmp_path, embedder, small_shards):
    file = write_chunks(tmp_path / "a.jsonl", 30)
    embed_files([file], tmp_path / "out", embedder)
    shards = sorted((tmp_path / "out").rglob("*.parquet"))
    whole = {shard: shard.read_bytes() for shard in shards}
    shards[1].write_bytes(whole[shards[1]][:100])
    with pytest.raises(DataError, match=r"000001\.parquet can't be read .* Delete it"):
        embed_files([file], tmp_path / "out", embedder)
    shards[1].unlink()
    assert embed_files([file], tmp_path / "out", embedder).embedded == 10
    assert {shard: shard.read_bytes() for shard in shards if shard != shards[1]} == {
        shard: data for shard, data in whole.items() if shard != shards[1]
    }


def test_a_full_disk_is_said_and_costs_nothing_done(tmp_path, tiny, embedder):
    file = write_chunks(tmp_path / "a.jsonl", 40)
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "import dragon_finetune.index.bulk as bulk; bulk._SHARD_ROWS = 10;"
        "from dragon_finetune import FineTunedEmbedder as E;"
        f"e = E({str(tiny)!r}, device='cpu', precision='fp32', on_overflow='split'); e.embed_query('x');"
        f"write = bulk.VectorStore.add\n"
        "def add(self, *given):\n"
        "    if len(self) == 20: resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "    write(self, *given)\n"
        "bulk.VectorStore.add = add\n"
        f"bulk.embed_files([{str(file)!r}], {str(tmp_path / 'out')!r}, e)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "can't be written" in done.stderr, done.stderr
    assert len(VectorStore(tmp_path / "out", embedder)) == 20
    assert embed_files([file], tmp_path / "out", embedder).embedded == 20


@pytest.mark.slow
def test_kills_at_random_moments_leave_what_an_uninterrupted_run_leaves(tmp_path, cli, tiny):
    file = write_chunks(tmp_path / "a.jsonl", 9_000)
    command = ["embed", file, "-m", tiny, "--on-overflow", "split"]
    # The first run converts the model, so the second tells how long one takes.
    small = [write_chunks(tmp_path / "small.jsonl", 20) if part == file else part for part in command]
    assert cli(*small, "--out", tmp_path / "first").returncode == 0
    started = time.perf_counter()
    assert cli(*command, "--out", tmp_path / "whole").returncode == 0
    seconds = time.perf_counter() - started
    dice = random.Random(4)
    for attempt in range(KILLS):
        again = [*command, "--out", tmp_path / f"killed {attempt}"]
        process = start_command(*again, cwd=tmp_path)
        time.sleep(dice.uniform(0.3, 0.95) * seconds)
        process.kill()
        process.communicate()
        assert cli(*again).returncode == 0
        assert shards(tmp_path / f"killed {attempt}") == shards(tmp_path / "whole")
    assert len(shards(tmp_path / "whole")) == 3


def shards(out):
    return {file.relative_to(out): file.read_bytes() for file in sorted(out.rglob("*.parquet"))}


@pytest.mark.slow
def test_command_loads_a_collection_that_knows_its_encoder(tmp_path, cli, tiny, tiny_models):
    import chromadb

    from dragon_finetune.index.chroma import open_client
    from dragon_finetune.index.collection import open_collection

    file = write_chunks(tmp_path / "a.jsonl", 30)
    options = ("--on-overflow", "split", "--precision", "fp32", "--out", "out", "--store", "store")
    done = cli("embed", file, "-m", tiny, *options, "--collection", "books")
    assert "30 records in books of store" in done.stdout, done.stderr
    embedder = FineTunedEmbedder(tiny, precision="fp32", on_overflow="split")
    collection = open_collection(open_client(tmp_path / "store"), "books", embedder)
    assert isinstance(collection, chromadb.Collection)
    found = collection.query(query_texts=["3. Ein Schiff"], n_results=1)
    assert found["distances"][0][0] < 1
    noted = {"chunk_file": str(file)}
    assert collection.get("c7")["metadatas"] == [{"chunk_id": "c7", "tags": '["a", 7]', "order": 7} | noted]
    assert collection.configuration_json["hnsw"]["space"] == "cosine"
    with pytest.raises(StaleIndexError, match="another encoder"):
        open_collection(open_client(tmp_path / "store"), "books", FineTunedEmbedder(tiny_models["unigram"]))
    refused = cli("embed", file, "-m", tiny_models["unigram"], *options, "--collection", "books")
    assert refused.returncode == 2
    assert "another encoder" in refused.stderr


def test_command_loads_a_chroma_server(tmp_path, cli, tiny):
    with chroma_server(tmp_path / "server") as server:
        file, url = write_chunks(tmp_path / "a.jsonl", 12), server.url
        options = ("-m", tiny, "--on-overflow", "split", "--out", "out", "--store", url, "--collection", "books")
        done = cli("embed", file, *options)
        assert f"12 records in books of {url}" in done.stdout, done.stderr
        healthy = cli("doctor", "-m", tiny, "--store", url, "--chunks", file)
        assert healthy.stdout.startswith("books: fresh"), healthy.stdout + healthy.stderr
        line = "lexicon --output joined --dimensions 64 --distances native --collection books --as more"
        joined = cli(*line.split(), file, "-m", tiny, "--add-to", url)
        assert f"12 records of books joined into more of {url}" in joined.stdout, joined.stderr
        healthy = cli("doctor", "-m", "joined", "--store", url, "--collection", "more")
        assert healthy.stdout.startswith("more: fresh"), healthy.stdout + healthy.stderr


def test_a_folder_that_cannot_be_written_is_said(tmp_path, embedder):
    file = write_chunks(tmp_path / "a.jsonl", 3)
    (tmp_path / "out").write_text("a file where the folder should be", encoding="utf-8")
    with pytest.raises(DataError, match="can't be written"):
        embed_files([file], tmp_path / "out", embedder)


def test_a_collection_of_unknown_origin_is_not_opened(tmp_path, embedder):
    from dragon_finetune.index.chroma import open_client
    from dragon_finetune.index.collection import open_collection

    client = open_client(tmp_path / "store")
    client.create_collection("old", embedding_function=None).add(ids=["1"], embeddings=[[0.0] * 32], documents=["x"])
    with pytest.raises(StaleIndexError, match="does not say which encoder"):
        open_collection(client, "old", embedder)


def test_a_retrained_model_in_the_same_folder_is_not_taken_for_the_old(tmp_path, tiny, tiny_models):
    import shutil

    from dragon_finetune.index.chroma_function import FineTunedEmbeddingFunction, embedding_function

    model = shutil.copytree(tiny, tmp_path / "model")
    config = embedding_function(FineTunedEmbedder(model)).get_config()
    FineTunedEmbeddingFunction.build_from_config(config)
    shutil.rmtree(model)
    shutil.copytree(tiny_models["unigram"], model)
    with pytest.raises(StaleIndexError):
        FineTunedEmbeddingFunction.build_from_config(config)


def test_an_id_that_comes_twice_is_refused_before_anything_is_embedded(cli, tiny, write_jsonl, tmp_path):
    write_jsonl("one.jsonl", [{"text": "The tide went out.", "chunk_id": "c1"}])
    write_jsonl("two.jsonl", [{"text": "The bell rang.", "chunk_id": "c1"}])
    command = ["embed", "one.jsonl", "two.jsonl", "-m", tiny, "--out", "shards"]
    done = cli(*command, "--store", "store", "--collection", "books")
    assert done.returncode == 2
    assert "chunk_id 'c1' is also that of one.jsonl, line 1" in done.stderr
    assert not (tmp_path / "shards").exists()
    assert cli(*command).returncode == 0


def test_two_files_of_one_name_lose_no_record(cli, tiny, tmp_path):
    for folder in ("books", "wiki"):
        (tmp_path / folder).mkdir()
        rows = [{"text": f"The bell of {folder} rang {n} times."} for n in range(6)]
        (tmp_path / folder / "part.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    done = cli(
        *("embed", "books/part.jsonl", "wiki/part.jsonl", "-m", tiny, "--out", "shards"),
        *("--store", "store", "--collection", "books"),
    )
    assert "12 records in books" in done.stdout, done.stderr
    collection = open_client(tmp_path / "store").get_collection("books", embedding_function=None)
    assert collection.count() == 12


@pytest.mark.parametrize("rows", [[], [{"text": ""}]])
def test_bad_input_leaves_nothing_behind(tmp_path, embedder, write_jsonl, rows):
    file = write_jsonl("a.jsonl", rows)
    with pytest.raises(DataError):
        embed_files([file], tmp_path / "out", embedder)
    assert list(tmp_path.iterdir()) == [file]


def test_all_that_is_written_lies_in_the_folder_that_was_named(tmp_path, embedder):
    """What is beside it may be another's: a volume's root can't be written to."""
    (tmp_path / "volumes" / "out").mkdir(parents=True)
    embed_files([write_chunks(tmp_path / "a.jsonl", 5)], tmp_path / "volumes" / "out", embedder)
    assert [path.name for path in (tmp_path / "volumes").iterdir()] == ["out"]
