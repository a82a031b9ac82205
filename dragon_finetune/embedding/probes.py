"""The texts on which an engine must agree with fp32, and the speed of a batch's size."""

import time
from collections.abc import Sequence

from dragon_finetune.embedding.engine import Engine

_PROBES = [
    "Who keeps the ledger?",
    "The tide went out on the ninth of March, and nobody in the town had been told.",
    "“Where,” she asked, “is the bell?” — «Où est la cloche?» — 3.50 marks, e.g. No. 5.",
    "A general embedding model has never seen the word Tarrowin, nor skeining, nor ulm; it makes do with pieces.",
]


def probes() -> list[str]:
    """Return the 32 texts on which an engine must agree with fp32: short and long, plain and odd."""
    return [" ".join(_PROBES[(row + step) % len(_PROBES)] for step in range(1 + row // 4)) for row in range(32)]


def fastest_budget(engine: Engine, budgets: Sequence[int], limit: int | None) -> int:
    """Return the budget, of those given, at which `engine` embeds the most texts of one length per second."""
    tokens = min(128, limit or 128)
    text = "tide " * (tokens - 2)
    speeds = {}
    for budget in budgets:
        batch = [text] * max(1, budget // tokens)
        engine.embed(batch, "", None)  # kernels are built at the first sight of a shape
        started = time.perf_counter()
        engine.embed(batch, "", None)
        speeds[budget] = len(batch) / (time.perf_counter() - started)
    return max(speeds, key=lambda budget: speeds[budget])
