"""Training pairs from a codex's own text: what people might ask, and the passage that answers."""

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dragon_finetune.errors import DataError, SettingsError, suggest
from dragon_finetune.pair import Pair
from dragon_finetune.pairs.corpus import Corpus
from dragon_finetune.pairs.gate import Gate
from dragon_finetune.pairs.gate_report import GateReport
from dragon_finetune.pairs.labelling import hybrid
from dragon_finetune.pairs.llm import LlmSettings, ask_for_queries
from dragon_finetune.pairs.search import Search
from dragon_finetune.pairs.sources import HYBRID, SOURCES, TAKEN_OUT
from dragon_finetune.pairs.style import QueryStyle
from dragon_finetune.progress import progress

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


@dataclass(frozen=True)
class PairSettings:
    """Which pairs are wanted.

    Attributes:
        per_chunk: pairs per passage at most.
        seed: of every draw: the same corpus and seed give the same pairs.
        sources: names of `SOURCES`, or "hybrid"; empty: `DEFAULT_SOURCES` with a search, else `WITHOUT_MODEL`.
        style: lengths and shapes of the queries.
        avoid: questions of a test; pairs that give one away are dropped.
        llm: also ask a language model for queries: the source "llm".

    Raises:
        SettingsError: an unknown source, or per_chunk below 1.
    """

    per_chunk: int = 4
    seed: int = 42
    sources: Sequence[str] = ()
    style: QueryStyle = field(default_factory=QueryStyle)
    avoid: Sequence[Mapping[str, Any]] = ()
    llm: LlmSettings | None = None

    def __post_init__(self) -> None:
        known = (*SOURCES, HYBRID)
        for name in self.sources:
            if name in TAKEN_OUT:
                raise SettingsError(
                    f"the source {name!r} was taken out: on judged queries it did not help (docs/pairs.md). There are "
                    f"{', '.join(known)}."
                )
            if name not in known:
                raise SettingsError(f"unknown source of pairs {name!r}. {suggest(name, known)}")
        if self.per_chunk < 1:
            raise SettingsError(f"per_chunk is {self.per_chunk}; it must be at least 1.")


def synthesize(corpus: Corpus, settings: PairSettings | None = None, *, search: Search | None = None) -> Synthesis:
    """Return pairs for training, at most `per_chunk` for each passage, the sources taking turns.

    Args:
        corpus: the passages and the names.
        settings: which pairs are wanted.
        search: of the base model over the corpus: labels the source "hybrid", and its embedder finds rewordings of
            questions to avoid; None: only words are compared.

    Raises:
        SettingsError: "hybrid" without a search.
        DataError: nothing could be built; the message says why.
    """
    settings = settings or PairSettings()
    gate = Gate(corpus, settings.avoid)
    # Without leaks to look for, what is past the number wanted of a chunk need not be held.
    most = None if settings.avoid else settings.per_chunk
    passed = {name: _passed(name, made, gate, most) for name, made in _made_by_source(corpus, settings, search)}
    unleaked = gate.without_leaks(
        [pair for pairs in passed.values() for pair in pairs], search.embedder if search else None
    )
    by_source = {name: [pair for pair in unleaked if pair.metadata["source"] == name] for name in passed}
    pairs = _take_turns(by_source, settings.per_chunk)
    if not pairs:
        raise DataError(
            f"no pairs could be built from {len(corpus.passages)} chunks by {', '.join(passed)}. Give longer "
            f"chunks of more different words. The source mention also needs chapters of books, and names: wiki "
            f"pages, or indexes of characters or things (--indexes).\n{gate.report}"
        )
    random.Random(settings.seed).shuffle(pairs)
    return Synthesis(pairs, gate.report.with_kept(pairs))


def _made_by_source(
    corpus: Corpus, settings: PairSettings, search: Search | None
) -> Iterator[tuple[str, Iterator[Pair]]]:
    """Yield each source's name with the pairs it makes."""
    chosen = tuple(settings.sources or (DEFAULT_SOURCES if search is not None else WITHOUT_MODEL))
    if HYBRID in chosen and search is None:
        raise SettingsError(f"the source {HYBRID!r} needs --model: the base that is to be trained.")
    for name in progress(chosen, desc="pairs", unit="source"):
        dice = random.Random(f"{settings.seed}/{name}")
        if name == HYBRID and search is not None:
            yield name, hybrid(search, dice, settings.style, settings.per_chunk)
        else:
            yield name, SOURCES[name](corpus, dice, settings.style)
    if settings.llm is not None:
        yield "llm", ask_for_queries(corpus, settings.llm)


def _passed(name: str, made: Iterable[Pair], gate: Gate, most: int | None) -> list[Pair]:
    given: Counter[str] = Counter()
    kept = []
    for pair in made:
        chunk = str(pair.metadata["positive_chunk_id"])
        if gate.lets_through(name, pair) and (most is None or given[chunk] < most):
            given[chunk] += 1
            kept.append(pair)
    return kept


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
