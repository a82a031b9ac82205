"""Hard negatives: passages that a search takes for right and that are not."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from dragon_finetune.errors import DataError
from dragon_finetune.overlap import NEAR, jaccard, words
from dragon_finetune.pair import Pair
from dragon_finetune.pairs.search import Answer, Search
from dragon_finetune.progress import progress

MARGIN = 0.05
"""A negative must score below (1 - margin) of its positive (NV-Retriever: de Souza Moreira et al. 2024, 2407.15831)."""
_NEAREST = 30  # candidates of each search; where the filter leaves too few, ten times as many are looked at
_DEEPER = 10
_PAIRS_AT_ONCE = 512


@dataclass(frozen=True)
class NegativesReport:
    """What mining gave.

    Attributes:
        pairs: number of pairs.
        found: number of negatives -> number of pairs that have as many.
        refused: reason -> number of candidates.
        deepened: pairs for which the search had to go deeper.
    """

    pairs: int = 0
    found: Counter[int] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    deepened: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON-safe values."""
        found = {str(count): pairs for count, pairs in sorted(self.found.items())}
        return {"pairs": self.pairs, "found": found, "refused": dict(self.refused), "deepened": self.deepened}

    def __str__(self) -> str:
        total = sum(count * pairs for count, pairs in self.found.items())
        lines = [f"{total:,} hard negatives for {self.pairs:,} pairs; for {self.deepened:,} the search went deeper"]
        lines += [f"  {pairs:,} pairs with {count}" for count, pairs in sorted(self.found.items(), reverse=True)]
        lines += [f"  {count:,} candidates refused: {reason}" for reason, count in self.refused.items()]
        return "\n".join(lines)


def add_hard_negatives(
    pairs: Sequence[Pair], search: Search, *, per_pair: int = 3, margin: float = MARGIN
) -> tuple[list[Pair], NegativesReport]:
    """Return the pairs with up to `per_pair` negatives each from the search's corpus, and what was found.

    Candidates are the nearest by BM25 (bm25s) and by the base model, taking turns. Refused is what scores at least
    (1 - margin) of the positive, what nearly equals it, and what stands on its page.

    Args:
        pairs: any pairs; `page` or `positive_chunk_id` in their metadata tells where the positive is from.
        search: of the base model, over the corpus where negatives are looked for.
        per_pair: negatives per pair at most; negatives that a pair has already count, and come first.
        margin: see above.

    Raises:
        DataError: the corpus has no passages.
    """
    if not search.corpus.passages:
        raise DataError("the corpus is empty; there are no passages to take negatives from.")
    report = NegativesReport(pairs=len(pairs))
    done: list[Pair] = []
    answers = search.ask([pair.query for pair in pairs], kept_as="negatives", depth=_NEAREST * _DEEPER)
    with progress(total=len(pairs), desc="negatives", unit="pair") as bar:
        for start in range(0, len(pairs), _PAIRS_AT_ONCE):
            block = pairs[start : start + _PAIRS_AT_ONCE]
            found, deepened = _mine(block, list(islice(answers, len(block))), search, per_pair, margin, report.refused)
            report = replace(report, deepened=report.deepened + deepened)
            for pair, negatives in zip(block, found, strict=True):
                together = tuple(dict.fromkeys([*pair.negatives, *negatives]))[: max(per_pair, len(pair.negatives))]
                report.found[len(together)] += 1
                done.append(replace(pair, negatives=together))
            bar.update(len(block))
    return done, report


def _mine(
    pairs: Sequence[Pair],
    answers: Sequence[Answer],
    search: Search,
    per_pair: int,
    margin: float,
    refused: Counter[str],
) -> tuple[list[list[str]], int]:
    right = search.cosines_to(answers, [pair.positive for pair in pairs])
    found = []
    deepened = 0
    for pair, answer, score in zip(pairs, answers, right.tolist(), strict=True):
        wanted = per_pair - len(pair.negatives)
        reasons: Counter[str] = Counter()
        kept = _filtered(pair, answer, score * (1 - margin), search, _NEAREST, wanted, reasons)
        if len(kept) < wanted and len(search.corpus.passages) > _NEAREST:
            deepened += 1
            reasons.clear()
            kept = _filtered(pair, answer, score * (1 - margin), search, _NEAREST * _DEEPER, wanted, reasons)
        refused.update(reasons)
        found.append(kept)
    return found, deepened


def _filtered(
    pair: Pair, answer: Answer, ceiling: float, search: Search, depth: int, wanted: int, refused: Counter[str]
) -> list[str]:
    positive = words(pair.positive)
    page, chunk = pair.metadata.get("page"), pair.metadata.get("positive_chunk_id")
    kept: list[str] = []
    for place in answer.candidates(depth):
        if len(kept) >= wanted:
            break
        passage = search.corpus.passages[place]
        if passage.id == chunk or (page is not None and passage.page == page):
            refused["of the same page"] += 1
        elif answer.cosine(place) >= ceiling:
            refused["too near to the positive's score"] += 1
        elif jaccard(search.words_of(place), positive) >= NEAR:
            refused["nearly the positive"] += 1
        else:
            kept.append(passage.text)
    return kept
