"""The host's own embedder, untouched, asks our server where it asked Ollama: one URL, one name, and no `run`."""

import pickle

import numpy as np
import pytest
from runs_of_hosts import SCRIPTS_A, SCRIPTS_B, lay_out, plainly
from servers import serving

from dragon_finetune import FineTunedEmbedder


@pytest.fixture(scope="module")
def served(tiny, cache_of_this_session):
    # As a codex embeds whole chunks, so does its owner: what is too long is split and pooled.
    with serving("--model", tiny, "--name", "nomic-embed-text", "--on-overflow", "split") as running:
        yield running.url


def stored(folder):
    """Return every pickle's ids, texts and vectors."""
    rows = {}
    for file in (folder / "data" / "embeddings").rglob("*.pkl"):
        rows |= pickle.loads(file.read_bytes())
    assert rows
    return [(row["text"], np.array(row["embedding"])) for row in rows.values()]


def test_generation_a_by_its_environment(served, tiny, tmp_path):
    env = f"OLLAMA_BASE_URL={served}\nEMBEDDING_MODEL=nomic-embed-text\nEMBEDDING_DIMENSION=32\n"
    folder = lay_out("a", tmp_path / "host", env)
    for script in SCRIPTS_A[:-1]:
        done = plainly(folder, "-m", script)
        assert done.returncode == 0, done.stderr
    embedder = FineTunedEmbedder(tiny, on_overflow="split")
    # Its own fault stays: of every call it keeps the last vector, beside the first text (docs/dragons-codex.md).
    vectors = embedder.encode([text for text, _ in stored(folder)], role="document")
    assert [float(own @ vector) > 0.999 for own, (_, vector) in zip(vectors, stored(folder), strict=True)].count(
        True
    ) < len(vectors)


def test_generation_b_by_one_line_of_its_config(served, tiny, tmp_path):
    folder = lay_out("b", tmp_path / "host")
    config = folder / "src" / "utils" / "config.py"
    config.write_text(
        config.read_text(encoding="utf-8").replace("http://localhost:11434", served).replace("768", "32"),
        encoding="utf-8",
    )
    for script in SCRIPTS_B[:-1]:
        done = plainly(folder, "-m", script)
        assert done.returncode == 0, done.stderr
    embedder = FineTunedEmbedder(tiny, on_overflow="split")
    rows = stored(folder)
    vectors = embedder.encode([text for text, _ in rows], role="document")
    # Though it glues "search_document" to the text.
    assert min(float(own @ vector) for own, (_, vector) in zip(vectors, rows, strict=True)) > 0.9999
