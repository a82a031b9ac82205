"""A real Chroma server: by token, TLS and path prefix; within its limits; restarted in the middle of a load."""

import collections
import gc
import random
import threading
import time

import numpy as np
import pytest
from chroma_servers import chroma_server, tls_proxy
from chromadb.api import ServerAPI
from chromadb.api.base_http_client import BaseHTTPClient
from chromadb.api.shared_system_client import SharedSystemClient
from conftest import run_here
from stores import make_texts, write_chunks

from dragon_finetune import FineTunedEmbedder
from dragon_finetune.errors import DataError
from dragon_finetune.index.chroma import Record, open_client, read_ids, upsert
from dragon_finetune.index.doctor import examine
from dragon_finetune.index.freshness import StaleIndexWarning, warn_if_stale
from dragon_finetune.plugin import create_finetuned

# Chroma's client leaves its connections to the garbage collector.
_LEFT = r"ignore:Exception ignored in. <(ssl|socket)\.:pytest.PytestUnraisableExceptionWarning"
pytestmark = pytest.mark.filterwarnings(_LEFT)
TOKEN = "CHROMA_CLIENT_AUTH_CREDENTIALS"


@pytest.fixture(autouse=True)
def connections_closed():
    """Close here what would else be found open, and warned about, when all tests are over."""
    yield
    for system in SharedSystemClient._identifier_to_system.values():
        if isinstance(server := system.instance(ServerAPI), BaseHTTPClient):
            server._session.close()
    gc.collect()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with chroma_server(tmp_path_factory.mktemp("chroma")) as server:
        yield server


@pytest.fixture
def behind(server, tmp_path, monkeypatch):
    """Return a proxy with TLS, a prefix and a token before the server; this process has all that it wants."""
    with tls_proxy(server, tmp_path, prefix="/team/vectors", token="s3cret", at_once=7) as proxy:
        monkeypatch.setenv("SSL_CERT_FILE", str(proxy.certificate))
        monkeypatch.setenv(TOKEN, "s3cret")
        yield proxy


def records(count, dimension=8):
    vectors = np.random.default_rng(0).standard_normal((count, dimension), dtype=np.float32)
    return [Record(f"r{n}", f"text {n}", vectors[n], {"n": n}) for n in range(count)]


def collection_of(client, name):
    return client.get_or_create_collection(name, embedding_function=None)


@pytest.mark.slow
def test_load_doctor_freshness_and_queries_by_tls_prefix_and_token(behind, tiny, tiny_models, tmp_path):
    texts = make_texts(30)
    file = write_chunks(tmp_path / "a.jsonl", texts)
    options = ("--on-overflow", "split", "--precision", "fp32", "--out", tmp_path / "out", "--store", behind.url)
    done = run_here("embed", file, "-m", tiny, *options, "--collection", "books")
    assert f"30 records in books of {behind.url}" in done.stdout, done.stderr
    assert behind.most == 7  # what the server takes at once
    healthy = run_here("doctor", "-m", tiny, "--store", f"{behind.url}/", "--chunks", file)
    assert healthy.stdout.startswith("books: fresh"), healthy.stdout + healthy.stderr
    embedder = FineTunedEmbedder(tiny, precision="fp32", on_overflow="split", device="cpu")
    warn_if_stale(embedder, behind.url)  # a warning would be an error here
    settings = {"model_path": str(tiny_models["unigram"]), "store": behind.url, "on_overflow": "split", "device": "cpu"}
    with pytest.warns(StaleIndexWarning, match="books"):
        create_finetuned({"finetuned": settings}).embed_query("who")
    found = open_client(behind.url).get_collection("books", embedding_function=None)
    nearest = found.query(query_embeddings=[embedder.embed_documents([texts[3]])[0]], n_results=1)
    assert nearest["documents"] == [[texts[3]]]


def test_who_lacks_the_token_or_the_certificate_is_told_what_to_do(behind, monkeypatch):
    with monkeypatch.context() as without, pytest.raises(DataError, match=TOKEN) as refused:
        without.setenv(TOKEN, "wr0ng")
        open_client(behind.url)
    assert "wr0ng" not in str(refused.value)
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(DataError, match="as SSL_CERT_FILE"):
        open_client(behind.url)


def test_a_wrong_prefix_is_bad_input_and_no_fault_of_ours(behind):
    with pytest.raises(DataError, match="Chroma says"):
        examine(None, behind.url.replace("team", "other"))


@pytest.mark.parametrize("store", ["http://me:s3cret@localhost:1", "https://localhost/x?token=s3cret"])
def test_a_secret_in_the_address_is_refused_and_not_repeated(store):
    with pytest.raises(DataError, match=TOKEN) as refused:
        open_client(store)
    assert "s3cret" not in str(refused.value)


def test_a_page_of_more_bytes_than_the_server_takes_goes_in_parts(tmp_path):
    with chroma_server(tmp_path, max_payload_size_bytes=4000) as server:
        client = open_client(server.url)
        collection = collection_of(client, "books")
        assert upsert(client, collection, records(300)) == 300
        assert sorted(identity for identity, _ in read_ids(collection)) == sorted(f"r{n}" for n in range(300))
        big = Record("big", "x" * 5000, np.zeros(8, dtype=np.float32), {})
        with pytest.raises(DataError, match=r"records big to big: Chroma says: .*too large"):
            upsert(client, collection, [big])


def load_through_restarts(folder, count, restarts):
    """Return the ids and the counts of a load during which the server is killed and comes back."""
    dice = random.Random(5)
    with chroma_server(folder) as server:
        client = open_client(server.url)
        collection = collection_of(client, "books")
        due = {count * (n + 1) // (restarts + 1) for n in range(restarts)}
        done = []

        def restart():
            time.sleep(dice.uniform(0, 0.1))  # now and then in the middle of a page
            server.kill()
            time.sleep(dice.uniform(0, 0.5))
            server.start()
            done.append(1)

        def going():
            for number, record in enumerate(records(count)):
                if number in due:
                    threading.Thread(target=restart).start()
                yield record

        assert upsert(client, collection, going()) == count
        while len(done) < restarts:
            time.sleep(0.05)
        found = list(read_ids(collection))
        return [identity for identity, _ in found], collection.count()


@pytest.mark.parametrize(
    ("count", "restarts"), [(1000, 1), pytest.param(20_000, 5, marks=pytest.mark.thorough)], ids=["once", "five times"]
)
def test_a_server_that_restarts_in_the_middle_of_a_load_has_all_and_none_twice(tmp_path, count, restarts):
    ids, total = load_through_restarts(tmp_path, count, restarts)
    assert collections.Counter(ids) == collections.Counter(f"r{n}" for n in range(count))
    assert total == count


def test_a_proxy_that_finds_no_server_for_a_moment_is_asked_again(tmp_path, monkeypatch, capfd):
    with chroma_server(tmp_path) as server, tls_proxy(server, tmp_path) as proxy:
        monkeypatch.setenv("SSL_CERT_FILE", str(proxy.certificate))
        client = open_client(proxy.url)
        collection = collection_of(client, "books")
        server.kill()
        threading.Timer(0.5, server.start).start()
        assert upsert(client, collection, records(20)) == 20
        assert collection.count() == 20
        assert "it is asked again" in capfd.readouterr().err


def test_a_server_that_is_not_there_is_said_at_once():
    started = time.monotonic()
    with pytest.raises(DataError, match="running"):
        open_client("http://127.0.0.1:9")
    assert time.monotonic() - started < 5
