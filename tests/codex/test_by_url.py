"""The host's own embedder, untouched, asks our server where it asked Ollama: one URL, one name, and no `run`."""

import pickle

import numpy as np
import pytest
from runs_of_hosts import SCRIPTS_A, SCRIPTS_B, lay_out, plainly
from servers import serving

from dragon_finetune import FineTunedEmbedder
from dragon_finetune.files import read_jsonl


@pytest.fixture(scope="module")
def served(tiny, cache_of_this_session):
    # As a codex embeds whole chunks, so does its owner: what is too long is split and pooled.
    with serving("--model", tiny, "--name", "nomic-embed-text", "--on-overflow", "split") as running:
        yield running.url


def stored(folder):
    """Return text and vector of every record in the host's pickles."""
    files = sorted((folder / "data" / "embeddings").glob("*.pkl"))
    rows = [row for file in files for row in pickle.loads(file.read_bytes()).values()]
    return [(row["text"], row["embedding"]) for row in rows]


def documents(model, texts):
    return FineTunedEmbedder(model, on_overflow="split").encode(texts, role="document")


def cosines(one, other):
    assert len(one) == len(other) > 0
    return (np.array(one) * np.array(other)).sum(axis=1)


def run_all(folder, scripts):
    for script in scripts:
        done = plainly(folder, "-m", script)
        assert done.returncode == 0, done.stderr


def test_generation_a_by_its_environment(served, tiny, tmp_path):
    env = f"OLLAMA_BASE_URL={served}\nEMBEDDING_MODEL=nomic-embed-text\nEMBEDDING_DIMENSION=32\n"
    folder = lay_out("a", tmp_path / "host", env)
    run_all(folder, SCRIPTS_A[:-1])
    # Its own fault stays: of every call it keeps the last text's vector, beside the first text (docs/dragons-codex.md).
    files = sorted((folder / "data" / "chunks").glob("*.jsonl"))
    last = [[record["text"] for _, record in read_jsonl(file)][-1] for file in files]
    assert cosines(documents(tiny, last), [vector for _, vector in stored(folder)]).min() > 0.9999


def test_generation_b_by_one_line_of_its_config(served, tiny, tmp_path):
    folder = lay_out("b", tmp_path / "host")
    config = folder / "src" / "utils" / "config.py"
    text = config.read_text(encoding="utf-8").replace("http://localhost:11434", served).replace("768", "32")
    config.write_text(text, encoding="utf-8")
    run_all(folder, SCRIPTS_B[:-1])
    texts, vectors = zip(*stored(folder), strict=True)
    # Though it glues "search_document" to the text.
    assert cosines(documents(tiny, texts), vectors).min() > 0.9999
