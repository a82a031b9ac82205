"""One server for all tests that do it no harm: a tiny model with prompts, and the real one beside it."""

import pytest
from servers import serving

from dragon_finetune import FineTunedEmbedder

TEXTS = ["Ilse Tarrowin walked the bared floor of the Thaul.", "The Ledger lies.", "É ß 🐉 «Oriel»", "a, " * 20 + "b"]


@pytest.fixture(scope="session")
def server(tiny, cache_of_this_session):
    with serving("--model", tiny, "--name", "tuned", "--against", "embedded") as running:
        yield running.url


@pytest.fixture(scope="session")
def tuned(tiny):
    return FineTunedEmbedder(tiny)


@pytest.fixture(scope="session")
def texts():
    return TEXTS
