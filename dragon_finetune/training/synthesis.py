"""Training pairs from a codex's own text: what people might ask, and the passage that answers."""

import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tqdm import tqdm

from dragon_finetune.errors import DataError, SettingsError
from dragon_finetune.records import Pair
from dragon_finetune.settings import suggest
from dragon_finetune.training.corpus import Corpus
from dragon_finetune.training.gate import Gate, GateReport
from dragon_finetune.training.labelling import hybrid
from dragon_finetune.training.llm import LlmSettings, ask_for_queries
from dragon_finetune.training.negatives import Searcher
from dragon_finetune.training.sources import FEWEST_WORDS, HYBRID, SOURCES, QueryStyle

DEFAULT_SOURCES = (HYBRID,)
"""With a model: what the ablation supports (docs/pairs.md)."""
WITHOUT_MODEL = ("keywords",)
"""Without one: of those that need neither model nor indexes the only one that did not lower nDCG@10 (docs/pairs.md)."""


@dataclass(frozen=True)
class Synthesis:
    """What was built.

    Attributes:
        pairs: in a random order that the seed decides.
        report: how many each source gave, and what was dropped and why.
    """

    pairs: list[Pair]
    report: GateReport


def synthesize(
    corpus: Corpus,
    *,
    per_chunk: int = 4,
    seed: int = 42,
    sources: Sequence[str] | None = None,
    style: QueryStyle | None = None,
    avoid: Sequence[Mapping[str, Any]] = (),
    search: Searcher | None = None,
    llm: LlmSettings | None = None,
) -> Synthesis:
    """Return pairs for training, at most `per_chunk` for each passage, the sources taking turns.

    Args:
        corpus: the passages and the names.
        per_chunk: pairs per passage at most.
        seed: of every draw: the same corpus and seed give the same pairs.
        sources: names of `SOURCES`, or "hybrid"; default: `DEFAULT_SOURCES` with a search, else `WITHOUT_MODEL`.
        style: lengths and shapes of the queries.
        avoid: questions of a test; pairs that give one away are dropped.
        search: of the base model over the corpus: labels the source "hybrid", and its embedder finds rewordings of
            questions to avoid; None: only words are compared.
        llm: also ask a language model for queries: the source "llm".

    Raises:
        SettingsError: an unknown source, "hybrid" without a search, or per_chunk below 1.
        DataError: nothing could be built; the message says why.
    """
    chosen = tuple(sources or (DEFAULT_SOURCES if search is not None else WITHOUT_MODEL))
    for name in chosen:
        if name not in (*SOURCES, HYBRID):
            raise SettingsError(f"unknown source of pairs {name!r}. {suggest(name, (*SOURCES, HYBRID))}")
        if name == HYBRID and search is None:
            raise SettingsError(f"the source {HYBRID!r} needs --model: the base that is to be trained.")
    if per_chunk < 1:
        raise SettingsError(f"per_chunk is {per_chunk}; it must be at least 1.")
    gate = Gate(corpus, avoid)
    passed: dict[str, list[Pair]] = {}
    for name in tqdm(chosen, desc="pairs", unit="source", disable=None):
        dice = random.Random(f"{seed}/{name}")
        made = (
            hybrid(search, dice, style or QueryStyle(), per_chunk)
            if name == HYBRID and search is not None
            else SOURCES[name](corpus, dice, style or QueryStyle())
        )
        passed[name] = [pair for pair in made if gate.lets_through(name, pair)]
    if llm is not None:
        passed["llm"] = [pair for pair in ask_for_queries(corpus, llm) if gate.lets_through("llm", pair)]
    unleaked = gate.without_leaks(
        [pair for pairs in passed.values() for pair in pairs], search.embedder if search else None
    )
    passed = {name: [pair for pair in unleaked if pair.metadata["source"] == name] for name in passed}
    pairs = _take_turns(passed, per_chunk)
    if not pairs:
        raise DataError(
            f"no pairs could be built from {len(corpus.passages)} chunks by {', '.join(passed)}. Give longer chunks: a "
            f"sentence is cut out of each, and {FEWEST_WORDS} words must be left. Sources alias, definition and "
            f"mention also need indexes that name characters or things (--indexes).\n{gate.report}"
        )
    random.Random(seed).shuffle(pairs)
    return Synthesis(pairs, gate.report.with_kept(pairs))


def _take_turns(passed: Mapping[str, Sequence[Pair]], per_chunk: int) -> list[Pair]:
    """Return at most `per_chunk` pairs of each passage, always from the source that has given the fewest so far."""
    by_chunk: dict[str, dict[str, list[Pair]]] = defaultdict(lambda: defaultdict(list))
    for name, pairs in passed.items():
        for pair in pairs:
            by_chunk[str(pair.metadata["positive_chunk_id"])][name].append(pair)
    given: Counter[str] = Counter()
    kept = []
    for queues in by_chunk.values():
        for _ in range(min(per_chunk, sum(map(len, queues.values())))):
            name = min((name for name in queues if queues[name]), key=lambda name: given[name])
            kept.append(queues[name].pop(0))
            given[name] += 1
    return kept
