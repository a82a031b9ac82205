"""Bulk embedding on a real Ray of this machine: the shards of a run on one machine, whatever is killed."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest
from conftest import CORPUS

from dragon_finetune import EmbedBatch, FineTunedEmbedder
from dragon_finetune.chunks import read_chunks
from dragon_finetune.errors import ClusterError, DataError, MissingExtraError, SettingsError, TokenLimitError
from dragon_finetune.index.bulk import embed_files
from dragon_finetune.index.distributed import on_ray
from dragon_finetune.index.distributed.on_ray import embed_on_ray
from dragon_finetune.index.distributed.sources import reader_of
from dragon_finetune.index.distributed.workers import Workers

KILLS = int(os.environ.get("KILLS", "1"))
TWO = Workers("local", 2)
OPTIONS = {"device": "cpu", "precision": "fp32", "engine": "openvino", "on_overflow": "split"}
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray", "ignore::FutureWarning:ray"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
SCRIPT = """
import json, sys
from dragon_finetune import FineTunedEmbedder
from dragon_finetune.index import bulk
from dragon_finetune.index.distributed.on_ray import embed_on_ray
from dragon_finetune.index.distributed.workers import Workers
file, out, model, options, rows = json.loads(sys.argv[1])
bulk._SHARD_ROWS = rows
if __name__ == "__main__":
    print(embed_on_ray([file], out, FineTunedEmbedder(model, **options), Workers("local", 2)).embedded)
"""


@pytest.fixture(scope="module")
def ray():
    """Start Ray once for all tests that call it from here: `embed_on_ray` uses the one that is there."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in on_ray._QUIET.items():
            patch.setenv(name, value)
        import ray

        ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=128 << 20)
        yield ray
        ray.shutdown()


@pytest.fixture(scope="module")
def embedder(tiny):
    return FineTunedEmbedder(tiny, **OPTIONS)


@pytest.fixture
def small_shards(monkeypatch):
    monkeypatch.setattr("dragon_finetune.index.bulk._SHARD_ROWS", 10)


def write_chunks(path, count, **more):
    rows = [{"chunk_id": f"c{n}", "text": f"{n}. {CORPUS[n % 4]}", **more} for n in range(count)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def shards(out):
    return {str(file.relative_to(out)): pq.read_table(file) for file in sorted(out.rglob("*.parquet"))}


def assert_same_shards(out, whole):
    """Names, keys and their order alike; vectors to what another thread count may change of a sum."""
    mine, theirs = shards(out), shards(whole)
    assert mine.keys() == theirs.keys()
    for name, table in mine.items():
        assert table["key"].equals(theirs[name]["key"]), name
        assert table.schema.equals(theirs[name].schema, check_metadata=True)
        np.testing.assert_allclose(vectors(table), vectors(theirs[name]), atol=1e-6)


def vectors(table):
    return np.stack(table["vector"].to_numpy(zero_copy_only=False))


def test_two_workers_leave_the_shards_of_one_machine_and_do_nothing_twice(ray, tmp_path, embedder, small_shards):
    file = write_chunks(tmp_path / "a.jsonl", 35)
    with file.open("a", encoding="utf-8") as more:  # texts that come twice, in one group and in two
        more.write(file.read_text(encoding="utf-8") + json.dumps({"text": "long " * 200, "chunk_id": "long"}) + "\n")
    embed_files([file], tmp_path / "one", embedder)
    done = embed_on_ray([file], tmp_path / "two", embedder, TWO)
    assert (done.embedded, done.already_done, done.engines) == (36, 0, ("openvino-fp32",))
    assert_same_shards(tmp_path / "two", tmp_path / "one")
    again = embed_on_ray([file], tmp_path / "two", embedder, TWO)
    assert (again.embedded, again.already_done) == (0, 36)


def test_what_one_machine_began_is_gone_on_with(ray, tmp_path, embedder, small_shards):
    file = write_chunks(tmp_path / "a.jsonl", 35)
    embed_files([write_chunks(tmp_path / "part.jsonl", 20)], tmp_path / "two", embedder)
    embed_files([file], tmp_path / "one", embedder)
    assert embed_on_ray([file], tmp_path / "two", embedder, TWO).embedded == 15
    assert_same_shards(tmp_path / "two", tmp_path / "one")


def actors():
    """Return the processes that embed, of the Ray that this process or a child of it started."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if "MapWorker" in " ".join(process.cmdline()):
                found.append(process)
    return found


def test_a_worker_that_is_killed_in_the_middle_is_replaced(ray, tmp_path, embedder, small_shards, monkeypatch):
    file = write_chunks(tmp_path / "a.jsonl", 200)
    embed_files([file], tmp_path / "one", embedder)
    killed = []
    write = on_ray.VectorStore.add

    def kill_and_write(store, *given):
        if store.shards == 2:
            killed.extend(actors()[:1])
            os.kill(killed[0].pid, signal.SIGKILL)
        write(store, *given)

    monkeypatch.setattr(on_ray.VectorStore, "add", kill_and_write)
    assert embed_on_ray([file], tmp_path / "two", embedder, TWO).embedded == 200
    assert len(killed) == 1
    assert_same_shards(tmp_path / "two", tmp_path / "one")


def test_dense_vectors_that_are_there_are_joined_and_not_made_again(ray, tmp_path, tiny, small_shards):
    from conftest import run_here

    file = write_chunks(tmp_path / "a.jsonl", 25)
    line = ("lexicon", file, "-m", tiny, "--output", tmp_path / "joined", "--dimensions", 64, "--distances", "native")
    assert run_here(*line).returncode == 0
    joined = FineTunedEmbedder(tmp_path / "joined", **OPTIONS)
    for out in (tmp_path / "one", tmp_path / "two"):
        embed_files([file], out, joined.without_words)
    embed_files([file], tmp_path / "one", joined)
    done = embed_on_ray([file], tmp_path / "two", joined, TWO)
    assert (done.embedded, done.engines) == (25, ())
    assert_same_shards(tmp_path / "two", tmp_path / "one")


def all_cpus_are_free(ray, within=60.0):
    end = time.monotonic() + within
    while ray.available_resources().get("CPU") != 2 and time.monotonic() < end:
        time.sleep(0.2)
    return ray.available_resources().get("CPU") == 2


def test_what_a_worker_refuses_or_warns_of_is_told_here(ray, tmp_path, tiny):
    file = tmp_path / "a.jsonl"
    file.write_text(json.dumps({"text": "long " * 500}) + "\n", encoding="utf-8")
    with pytest.raises(TokenLimitError, match="1 of 1 texts") as kept:
        embed_on_ray([file], tmp_path / "out", FineTunedEmbedder(tiny, **OPTIONS | {"on_overflow": "error"}), TWO)
    assert all_cpus_are_free(ray), kept  # whoever keeps the error: in a notebook it is kept
    cutting = FineTunedEmbedder(tiny, **OPTIONS | {"on_overflow": "truncate"})
    with pytest.warns(UserWarning, match="1 of 1 texts cut to 64 tokens"):
        assert embed_on_ray([file], tmp_path / "out", cutting, TWO).embedded == 1


def test_a_part_may_take_longer_than_ray_takes_for_a_fault(ray, tmp_path, embedder, monkeypatch):
    file = write_chunks(tmp_path / "a.jsonl", 5)
    monkeypatch.setattr(ray.data.DataContext.get_current(), "execution_no_progress_timeout_s", 0.1)
    assert embed_on_ray([file], tmp_path / "out", embedder, TWO).embedded == 5


def test_a_bad_line_is_refused_before_ray_is_asked(tmp_path, embedder):
    file = write_chunks(tmp_path / "a.jsonl", 5)
    with file.open("a", encoding="utf-8") as out:
        out.write('{"text": ""}\n')
    with pytest.raises(DataError, match=r"a\.jsonl, line 6"):
        embed_on_ray([file], tmp_path / "out", embedder, TWO)
    assert not (tmp_path / "out").exists()


def test_addresses_are_read_as_files_are(ray, tmp_path, embedder, small_shards):
    import pandas

    file = write_chunks(tmp_path / "a.jsonl", 15, order=1)
    table = tmp_path / "b.parquet"
    pandas.DataFrame({"content": ["one bell", "two bells"], "page": [3, 4]}).to_parquet(table)
    here, there = [file, table], [file.as_uri(), table.as_uri()]
    embed_files(here, tmp_path / "one", embedder)
    assert embed_on_ray(there, tmp_path / "two", embedder, TWO).embedded == 17
    assert_same_shards(tmp_path / "two", tmp_path / "one")
    read = [list(reader_of(files)(files)) for files in (here, there)]
    assert [(each.id, each.text, each.metadata) for each in read[0]] == [
        (each.id, each.text, each.metadata) for each in read[1]
    ]
    assert read[1][0].file == file.as_uri()


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (["file:///none/a.jsonl"], "none/a.jsonl"),
        (["file:///none/a.csv"], "is CSV"),
        (["nosuch://a.jsonl"], "nosuch"),
        (["file:///a.jsonl", "b.jsonl"], "files of one kind"),
    ],
)
def test_addresses_that_cannot_be_read_are_named(files, said):
    with pytest.raises(DataError, match=said):
        list(reader_of(files)(files))


def test_ray_data_runs_embed_batch(ray, tmp_path, embedder, tiny):
    import ray.data

    file = write_chunks(tmp_path / "a.jsonl", 20)
    data = ray.data.read_json(str(file)).map_batches(
        EmbedBatch, fn_constructor_args=(str(tiny),), fn_constructor_kwargs=OPTIONS, concurrency=2, num_cpus=0.5
    )
    made = {row["chunk_id"]: row["embedding"] for row in data.take_all()}
    chunks = list(read_chunks([file]))
    expected = embedder.encode([chunk.text for chunk in chunks], role="document")
    np.testing.assert_allclose(np.stack([made[chunk.id] for chunk in chunks]), expected, atol=1e-6)


def test_workers_that_find_no_place_are_told():
    node = {"CPU": 8, "GPU": 2}
    assert Workers("auto").resources([node, node]) == (2, {"num_cpus": 8, "num_gpus": 0})
    assert Workers("auto", 3).resources([node, node]) == (3, {"num_cpus": 4, "num_gpus": 0})
    assert Workers("auto", gpus=1).resources([node, {"CPU": 4}]) == (2, {"num_cpus": 4, "num_gpus": 1})
    assert Workers("auto", gpus=0.5).resources([node]) == (4, {"num_cpus": 2, "num_gpus": 0.5})
    with pytest.raises(ClusterError, match="3 workers of one CPU and 1 GPUs each find no place on 1 nodes with 8 CPUs"):
        Workers("auto", 3, gpus=1).resources([node])
    with pytest.raises(SettingsError, match="--ray auto"):
        Workers("ray://head:10001")


def test_a_cluster_that_does_not_answer_is_named_at_once(tmp_path, cli, tiny):
    write_chunks(tmp_path / "a.jsonl", 1)
    done = cli("embed", "a.jsonl", "-m", tiny, "--out", "out", "--ray", "127.0.0.1:9")
    assert done.returncode == 2, done.stderr
    assert "no Ray answers at 127.0.0.1:9" in done.stderr
    assert "or use --ray local" in done.stderr


def test_without_ray_the_extra_is_named(tmp_path, embedder, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setitem(sys.modules, "ray.data", None)
    with pytest.raises(MissingExtraError, match=r'pip install "dragon-finetune\[ray\]"'):
        embed_on_ray([write_chunks(tmp_path / "a.jsonl", 1)], tmp_path / "out", embedder, TWO)


class Run:
    """A run in a process of its own, and all that it started."""

    def __init__(self, file, out, model, rows):
        script = out.with_name("run.py")
        script.write_text(SCRIPT, encoding="utf-8")
        values = [str(file), str(out), str(model), OPTIONS, rows]
        self.process = subprocess.Popen(
            [sys.executable, script, json.dumps(values)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.out = out

    def wait_for_shards(self, count):
        while len(list(self.out.rglob("*.parquet"))) < count and self.process.poll() is None:
            time.sleep(0.02)

    def kill(self):
        """Kill the run and return what of its processes is still there soon after."""
        family = psutil.Process(self.process.pid).children(recursive=True)
        self.process.kill()
        self.process.communicate()
        return psutil.wait_procs(family, timeout=20)[1]

    def embedded(self):
        out, err = self.process.communicate()
        assert self.process.returncode == 0, err
        return int(out)


def rows_of(out):
    return sum(table.num_rows for table in shards(out).values())


def test_a_driver_that_is_killed_leaves_no_process_and_is_gone_on_with(tmp_path, embedder, tiny, monkeypatch):
    monkeypatch.setattr("dragon_finetune.index.bulk._SHARD_ROWS", 50)
    file = write_chunks(tmp_path / "a.jsonl", 4000)
    embed_files([file], tmp_path / "one", embedder)
    run = Run(file, tmp_path / "two", tiny, 50)
    run.wait_for_shards(3)
    left = [process for process in run.kill() if process.status() != psutil.STATUS_ZOMBIE]
    assert left == []
    written = rows_of(tmp_path / "two")
    assert 100 < written < 4000
    assert Run(file, tmp_path / "two", tiny, 50).embedded() == 4000 - written
    assert_same_shards(tmp_path / "two", tmp_path / "one")


@pytest.mark.thorough
def test_kills_at_random_moments_leave_the_shards_of_an_uninterrupted_run(tmp_path, tiny, embedder, monkeypatch):
    monkeypatch.setattr("dragon_finetune.index.bulk._SHARD_ROWS", 100)
    file = write_chunks(tmp_path / "a.jsonl", 12_000)
    embed_files([file], tmp_path / "one", embedder)
    dice = random.Random(KILLS)
    for attempt in range(KILLS):
        out = tmp_path / f"killed {attempt}"
        run = Run(file, out, tiny, 100)
        run.wait_for_shards(dice.randint(0, 100))  # of 120; the seconds before the first one are most of a run
        time.sleep(dice.uniform(0, 0.2))
        victim = dice.choice(["driver", "worker"])
        there = actors() if victim == "worker" else []
        if run.process.poll() is not None:
            victim = "nobody, it was done"
        elif there:
            os.kill(dice.choice(there).pid, signal.SIGKILL)
        else:
            victim = "driver"
            run.kill()
        written = rows_of(out)
        run = Run(file, out, tiny, 100) if victim == "driver" else run
        made = run.embedded()
        print(f"{attempt}: {victim} killed at {written} of 12000, then {made} were embedded")
        assert made == 12_000 - (written if victim == "driver" else 0)
        assert rows_of(out) == 12_000
        assert_same_shards(out, tmp_path / "one")


def test_the_command_loads_a_collection_exactly_once(tmp_path, cli, tiny):
    from dragon_finetune.index.chroma import open_client

    write_chunks(tmp_path / "a.jsonl", 30)
    options = ("--on-overflow", "split", "--out", "out", "--store", "store", "--collection", "books")
    done = cli("--quiet", "embed", "a.jsonl", "-m", tiny, *options, "--ray", "local", "--workers", 1)
    assert "30 texts embedded, 0 were done already: out" in done.stdout, done.stderr
    assert "30 records in books of store" in done.stdout
    assert done.stderr == ""
    again = cli("embed", "a.jsonl", "-m", tiny, *options)
    assert "0 texts embedded, 30 were done already" in again.stdout, again.stderr
    assert open_client(tmp_path / "store").get_collection("books", embedding_function=None).count() == 30


def test_the_command_says_what_belongs_together(cli, tiny, write_jsonl):
    file = write_jsonl("a.jsonl", [{"text": "bell"}])
    wrong = cli("embed", file, "-m", tiny, "--out", "out", "--workers", 2)
    assert wrong.returncode == 2
    assert "give --ray" in wrong.stderr
