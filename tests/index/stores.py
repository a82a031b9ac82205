"""Stores as a host leaves them, built for real on disk."""

import json
import random
import shutil
from pathlib import Path

import numpy as np
from conftest import CORPUS

from dragon_finetune import FineTunedEmbedder
from dragon_finetune.index.chroma import closed_after, open_client

_WORDS = " ".join(CORPUS).split()


def make_texts(count: int, seed: int = 3) -> list[str]:
    """Return distinct texts over the tiny models' vocabulary."""
    dice = random.Random(seed)
    return [" ".join(dice.sample(_WORDS, dice.randrange(4, 12))) + f" {seed} {n}" for n in range(count)]


def build(store, texts, vectors, name="books", *, stem="books", space=None):
    """Make a collection of these texts and vectors; None: Chroma's own space, as the host leaves it."""
    configuration = {"configuration": {"hnsw": {"space": space}}} if space else {}
    with closed_after(open_client(store)) as client:
        client.get_or_create_collection(name, embedding_function=None, **configuration).add(
            ids=[f"{stem}.embeddings_{n}" for n in range(len(texts))],
            documents=list(texts),
            embeddings=[np.asarray(vector) for vector in vectors],
        )


def last_vectors(texts, encode, batch):
    """Return the texts and vectors that the host's own `embed_texts` leaves: row 0's text, the last text's vector."""
    last = [texts[min(start + batch, len(texts)) - 1] for start in range(0, len(texts), batch)]
    return texts[::batch], encode(last)


def write_chunks(file: Path, texts) -> Path:
    """Write a chunk file."""
    file.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    return file


def like(model, folder: Path, noise: float) -> FineTunedEmbedder:
    """Return an embedder whose weights are those of `model` and noise: of the same dimension, no error anywhere."""
    import torch
    from safetensors.torch import load_file, save_file

    shutil.copytree(model, folder)
    generator = torch.Generator().manual_seed(7)
    weights = {
        name: tensor + noise * torch.randn(tensor.shape, generator=generator)
        for name, tensor in load_file(folder / "model.safetensors").items()
    }
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return FineTunedEmbedder(folder, device="cpu", precision="fp32")


def kinds(health) -> list[str]:
    """Return the kinds of all findings: of the store, then of each collection."""
    return [finding.kind for one in (health, *health.collections) for finding in one.findings]
