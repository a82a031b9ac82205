"""A tiny model whose two prompts tell a query from a document, and what is asked of it."""

import numpy as np
import pytest

from dragon_finetune import FineTunedEmbedder

TEXTS = ["Ilse Tarrowin walked the bared floor of the Thaul.", "The Ledger lies.", "É ß 🐉 «Oriel»", "a, " * 20 + "b"]
QUERY = "The Ledger lies."
TOO_LONG = "over the grey water " * 40


@pytest.fixture(scope="session")
def tuned(tiny):
    embedder = FineTunedEmbedder(tiny, device="cpu")
    assert not np.allclose(embedder.embed_query(QUERY), embedder.embed_documents([QUERY])[0], atol=1e-2)
    return embedder


@pytest.fixture(scope="session")
def ranked(tuned):
    """Return the texts with their cosines to the query, nearest first."""
    scores = np.array(tuned.embed_documents(TEXTS)) @ np.array(tuned.embed_query(QUERY))
    return [(TEXTS[n], float(scores[n])) for n in np.argsort(-scores)]


def same(found, wanted):
    np.testing.assert_allclose(np.asarray(found), np.asarray(wanted), atol=2e-6)


def same_ranking(found, wanted):
    assert [text for text, _ in found] == [text for text, _ in wanted]
    same([score for _, score in found], [score for _, score in wanted])
