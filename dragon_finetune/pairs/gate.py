"""The quality gate: pairs that would teach the wrong thing, or nothing, are dropped and counted."""

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dragon_finetune.evaluation.leaks import leaking_queries
from dragon_finetune.overlap import plain
from dragon_finetune.pair import Pair
from dragon_finetune.pairs.corpus import Corpus
from dragon_finetune.pairs.gate_report import GateReport
from dragon_finetune.pairs.words import tokens
from dragon_finetune.wording import ENGLISH

if TYPE_CHECKING:
    from dragon_finetune.embedding.embedder import FineTunedEmbedder

_COMMON = 0.2  # share of all passages from which a word tells nothing
_MOST_WORDS = 40
_SAMPLES = 3
_GENERIC = frozenset(
    "who what where when why which how is are was were he she it they him her them this that do".split()
)


class Gate:
    """Lets pairs through, or counts why not.

    Args:
        corpus: whose words tell what is common, and in which scripts it is written.
        avoid: questions of a test; a query that is one or near one is dropped.
    """

    def __init__(self, corpus: Corpus, avoid: Sequence[Mapping[str, Any]] = ()) -> None:
        self._corpus, self._avoid = corpus, list(avoid)
        self._seen: set[bytes] = set()
        self._scripts = _scripts(
            " ".join(passage.text for passage in corpus.passages[:: -(-len(corpus.passages) // 500)])
        )
        self.report = GateReport()

    def lets_through(self, source: str, pair: Pair) -> bool:
        """Tell whether the pair is worth training on."""
        self.report.made[source] += 1
        reason = self._reason(pair)
        if reason is None:
            self._seen.add(_mark(plain(pair.query), plain(pair.positive)))
            return True
        self._drop(reason, pair)
        return False

    def without_leaks(self, pairs: Sequence[Pair], embedder: "FineTunedEmbedder | None" = None) -> list[Pair]:
        """Return the pairs whose query is no question to avoid and near to none."""
        if not self._avoid:
            return list(pairs)
        leaking = leaking_queries(self._avoid, pairs, embedder)
        for pair in pairs:
            if pair.query in leaking:
                self._drop("a question to avoid, or near to one", pair)
        return [pair for pair in pairs if pair.query not in leaking]

    def _drop(self, reason: str, pair: Pair) -> None:
        self.report.dropped[reason] += 1
        samples = self.report.samples.setdefault(reason, [])
        if len(samples) < _SAMPLES:
            samples.append(pair.query)

    def _reason(self, pair: Pair) -> str | None:
        words = tokens(pair.query)
        key = (plain(pair.query), plain(pair.positive))
        checks = (
            ("no words", not words),
            ("too generic to be answered", not self._tells(words)),
            (f"longer than {_MOST_WORDS} words", len(words) > _MOST_WORDS),
            ("a script that the corpus hardly has", not _scripts(pair.query) <= self._scripts),
            ("duplicates", _mark(*key) in self._seen),
            ("the query is the passage", key[0] == key[1]),
        )
        return next((reason for reason, true in checks if true), None)

    def _tells(self, words: Sequence[str]) -> bool:
        most = max(2, _COMMON * len(self._corpus.passages))
        return any(word not in ENGLISH and word not in _GENERIC and self._corpus.often[word] <= most for word in words)


def _mark(query: str, positive: str) -> bytes:
    # 16 bytes, for the texts of all pairs would fill the memory.
    return hashlib.blake2b(f"{query}\0{positive}".encode(), digest_size=16).digest()


def _scripts(text: str) -> set[str]:
    """Return the scripts of at least 2% of a text's letters: "LATIN", "CYRILLIC", "CJK", ..."""
    counts = Counter(unicodedata.name(letter, "?").split()[0] for letter in text if letter.isalpha())
    total = sum(counts.values())
    return {script for script, count in counts.items() if count >= 0.02 * total}
