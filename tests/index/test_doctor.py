"""Every way in which an index can be stale, built for real and found."""

import json
import os
import random
import shutil
import subprocess
import sys

import numpy as np
import pytest
from conftest import CORPUS

from dragon_finetune import FineTunedEmbedder, create_embedder
from dragon_finetune.index.chroma import closed_after, open_client
from dragon_finetune.index.doctor import examine

WORDS = " ".join(CORPUS).split()
DICE = random.Random(3)
TEXTS = [" ".join(DICE.sample(WORDS, DICE.randrange(1, 9))) + f" {n}" for n in range(300)]


def build(store, texts, vectors, name="books"):
    with closed_after(open_client(store)) as client:
        client.create_collection(name, embedding_function=None).add(
            ids=[f"books_{n}" for n in range(len(texts))],
            documents=list(texts),
            embeddings=[np.asarray(vector) for vector in vectors],
        )


@pytest.fixture(scope="module")
def embedder(tiny):
    return FineTunedEmbedder(tiny, device="cpu", precision="fp32")


@pytest.fixture(scope="module")
def vectors(embedder):
    return embedder.encode(TEXTS, role="document")


@pytest.fixture(scope="module")
def retrained(tiny, tmp_path_factory):
    """The same architecture with other weights: same dimension, no error anywhere, noise as an answer."""
    import torch
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(tiny, tmp_path_factory.mktemp("retrained") / "model")
    torch.manual_seed(7)
    weights = {
        name: tensor + 0.3 * torch.randn_like(tensor)
        for name, tensor in load_file(folder / "model.safetensors").items()
    }
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.fixture
def chunk_file(tmp_path):
    file = tmp_path / "books.jsonl"
    file.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS), encoding="utf-8")
    return file


def kinds(health):
    return [finding.kind for one in health.collections for finding in one.findings]


def test_fresh(tmp_path, embedder, vectors, chunk_file):
    build(tmp_path / "store", TEXTS, vectors)
    health = examine(embedder, tmp_path / "store", chunks=[chunk_file])
    assert kinds(health) == []
    assert health.fresh


def test_stale_by_a_model_that_it_can_name(tmp_path, vectors, retrained, tiny):
    build(tmp_path / "store", TEXTS, vectors)
    embedder = FineTunedEmbedder(retrained, device="cpu", precision="fp32")
    health = examine(embedder, tmp_path / "store", others=[str(tiny)])
    assert kinds(health) == ["stale"]
    assert f"those of {tiny}" in str(health)
    assert "median cosine" in str(examine(embedder, tmp_path / "store"))


def test_stale_by_the_recorded_base(tmp_path, vectors, retrained, tiny):
    tuned = shutil.copytree(retrained, tmp_path / "tuned")
    (tuned / "dragon_finetune.json").write_text(json.dumps({"base_model": str(tiny)}), encoding="utf-8")
    build(tmp_path / "store", TEXTS, vectors)
    health = examine(FineTunedEmbedder(tuned, device="cpu", precision="fp32"), tmp_path / "store")
    assert f"those of {tiny}" in str(health)


def test_mixed(tmp_path, embedder, vectors, retrained):
    later = FineTunedEmbedder(retrained, device="cpu", precision="fp32").encode(TEXTS[200:], role="document")
    build(tmp_path / "store", TEXTS, [*vectors[:200], *later])
    assert kinds(examine(embedder, tmp_path / "store")) == ["mixed"]


def test_wrong_dimension(tmp_path, embedder, vectors):
    build(tmp_path / "store", TEXTS, vectors[:, :16])
    assert kinds(examine(embedder, tmp_path / "store")) == ["dimension"]


@pytest.mark.parametrize("role", ["query", None])
def test_wrong_prompts(tmp_path, embedder, role):
    build(tmp_path / "store", TEXTS, embedder.encode(TEXTS, role=role))
    assert kinds(examine(embedder, tmp_path / "store")) == ["prompts"]


def test_unnormalised(tmp_path, embedder, vectors):
    build(tmp_path / "store", TEXTS, 10 * vectors)
    assert kinds(examine(embedder, tmp_path / "store")) == ["un-normalised"]


def test_empty(tmp_path, embedder):
    build_empty = open_client(tmp_path / "store")
    build_empty.create_collection("books", embedding_function=None)
    assert kinds(examine(embedder, tmp_path / "store")) == ["empty"]


def test_missing(tmp_path, embedder, vectors, chunk_file):
    build(tmp_path / "store", TEXTS[:250], vectors[:250])
    health = examine(embedder, tmp_path / "store", chunks=[chunk_file])
    assert kinds(health) == ["missing"]
    assert "50 of 300 chunks" in str(health)
    assert "line 251" in str(health)


@pytest.mark.parametrize("own", [True, False])
def test_one_vector_per_batch_under_the_first_text_of_the_batch(tmp_path, embedder, retrained, tiny, chunk_file, own):
    # What the host's own embed_texts left behind: rows 0, 100, 200 with the vectors of rows 99, 199, 299.
    maker = embedder if own else FineTunedEmbedder(retrained, device="cpu", precision="fp32")
    build(tmp_path / "store", TEXTS[::100], maker.encode(TEXTS[99::100], role="document"))
    health = examine(embedder, tmp_path / "store", chunks=[chunk_file], others=[str(retrained)])
    assert kinds(health) == ["misplaced", "missing"]
    assert "one vector was kept per batch" in str(health).lower()
    assert "297 of 300" in str(health)


def test_bf16_and_split_texts_are_no_false_alarm(tmp_path, tiny):
    texts = [*TEXTS[:40], "the lamp of the Oriel. " * 50]
    makers = [
        FineTunedEmbedder(tiny, device="cpu", on_overflow="split", precision=precision)
        for precision in ("fp32", "bf16")
    ]
    build(tmp_path / "store", texts, makers[0].encode(texts, role="document"))
    assert examine(makers[1], tmp_path / "store").fresh


@pytest.mark.slow
def test_command_says_so_with_its_exit_code(tmp_path, cli, tiny, retrained, vectors):
    build(tmp_path / "vector_stores", TEXTS, vectors)
    fresh = cli("doctor", "-m", tiny)
    assert (fresh.returncode, fresh.stdout.split(":")[1].strip()[:5]) == (0, "fresh"), fresh.stderr
    stale = cli("doctor", "-m", retrained, "--other", tiny, "--json")
    assert stale.returncode == 1
    assert json.loads(stale.stdout)["collections"][0]["findings"][0]["kind"] == "stale"
    nowhere = cli("doctor", "-m", tiny, "--store", "nowhere")
    assert nowhere.returncode == 2
    assert "holds no Chroma store" in nowhere.stderr
    files = [tmp_path / "one.jsonl", tmp_path / "two.jsonl"]
    for file, texts in zip(files, (TEXTS[:100], TEXTS[100:]), strict=True):
        file.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    assert cli("doctor", "-m", tiny, "--chunks", *files).returncode == 0
    assert cli("doctor", "-m", tiny, "--chunks", files[0]).returncode == 0
    assert "it has books" in cli("doctor", "-m", tiny, "--collection", "book").stderr


def test_the_first_query_of_a_host_warns_once_and_the_verdict_is_remembered(
    tmp_path, retrained, vectors, tiny, monkeypatch
):
    monkeypatch.setenv("DRAGON_FINETUNE_CACHE", str(tmp_path / "cache"))
    build(tmp_path / "store", TEXTS, vectors)
    code = (
        "import sys, warnings; from dragon_finetune import create_embedder;"
        "options = dict(model_path=sys.argv[1], device='cpu', precision='fp32', store=sys.argv[2]);"
        "e = create_embedder({'embedder': 'finetuned', 'finetuned': options});"
        "e.embed_query('a'); e.embed_query('b'); print('chromadb' in sys.modules)"
    )

    def ask(model):
        return subprocess.run(
            [sys.executable, "-c", code, str(model), str(tmp_path / "store")],
            capture_output=True,
            text=True,
            check=True,
        )

    first = ask(retrained)
    assert first.stdout.strip() == "False"
    assert first.stderr.count("StaleIndexWarning") == 1
    assert "books: stale" in first.stderr
    (notes,) = [file for file in (tmp_path / "cache").rglob("choices.json") if "health" in file.read_text("utf-8")]
    remembered = notes.read_text(encoding="utf-8")
    assert ask(retrained).stderr.count("StaleIndexWarning") == 1
    assert notes.read_text(encoding="utf-8") == remembered
    assert "Warning" not in ask(tiny).stderr


def test_a_host_with_its_own_client_is_not_disturbed(tmp_path, tiny, vectors):
    import chromadb

    build(tmp_path / "store", TEXTS, vectors)
    chromadb.api.client.SharedSystemClient.clear_system_cache()
    host = chromadb.PersistentClient(path=str(tmp_path / "store"))  # other settings than ours
    options = {"model_path": str(tiny), "device": "cpu", "precision": "fp32", "store": str(tmp_path / "store")}
    embedder = create_embedder({"embedder": "finetuned", "finetuned": options})
    query = embedder.embed_query("who lit the lamp?")
    assert host.get_collection("books", embedding_function=None).query(query_embeddings=[query])["ids"]
    np.testing.assert_allclose(np.linalg.norm(query), 1, atol=1e-4)


def test_what_lies_in_the_hosts_folder_is_not_imported_by_the_process_that_looks(tmp_path, retrained, vectors):
    build(tmp_path / "store", TEXTS, vectors)
    host = tmp_path / "host"
    host.mkdir()
    for name in ("json", "typer", "numpy", "chromadb", "dragon_finetune", "torch", "sitecustomize"):
        (host / f"{name}.py").write_text("open('executed', 'w').write(__name__)\nraise SystemExit(9)", encoding="utf-8")
    code = (
        "import sys; from dragon_finetune import FineTunedEmbedder as E;"
        "from dragon_finetune.index.freshness import warn_if_stale;"
        "warn_if_stale(E(sys.argv[1], device='cpu', precision='fp32'), sys.argv[2])"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, str(retrained), str(tmp_path / "store")],
        cwd=host,
        env={**os.environ, "DRAGON_FINETUNE_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "books: stale" in done.stderr
    assert not (host / "executed").exists()
