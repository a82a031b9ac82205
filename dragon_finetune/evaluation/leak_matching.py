"""How a training query gives a question away: made from it, the same words, or a rewording."""

import hashlib
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dragon_finetune.overlap import near_duplicates, plain, words
from dragon_finetune.pair import Pair

if TYPE_CHECKING:
    from dragon_finetune.embedding.embedder import FineTunedEmbedder

NEAR_WORDS = 0.7
"""Share of common words, rare ones counting more, from which a query counts as nearly a question."""
NEAR_COSINE = 0.82
"""How far from the usual cosine (the median) to 1 that of a query counts as a rewording, for models differ in scale.
With MiniLM 0.82 is a cosine of about 0.85."""
_USUAL_OF = 100_000  # queries whose cosines tell the median
_QUERIES_AT_ONCE = 16_384
HASHED = "sha256:"
KINDS = ("made from it", "the same", "the same but for case and punctuation", "nearly the same words", "a rewording")


def matches(
    questions: Sequence[Mapping[str, Any]], pairs: Sequence[Pair], embedder: "FineTunedEmbedder | None"
) -> Iterator[tuple[int, int, float, str]]:
    """Yield (place of the question, place of the kind in `KINDS`, score, query) of every leak."""
    asked = [str(question["question"]) for question in questions]
    given = dict.fromkeys(pair.query for pair in pairs)
    queries = [query for query in given if not query.startswith(HASHED)]
    by_id = {str(question["question_id"]): place for place, question in enumerate(questions)}
    for pair in pairs:
        made_from = by_id.get(str(origin(pair)))
        if made_from is not None:
            yield made_from, 0, 1.0, pair.query
    for place, question in enumerate(asked):
        if hashed(question) in given:
            yield place, 2, 1.0, question
    weights = _rarity([*asked, *queries])
    # The words of the questions are held, not those of a million queries.
    for near in near_duplicates(queries, asked, NEAR_WORDS):
        question, query = asked[near.right], queries[near.left]
        share = _weighted(words(question), words(query), weights)
        if share >= NEAR_WORDS:
            yield near.right, 1 if question == query else 2 if plain(question) == plain(query) else 3, share, query
    if embedder is not None and queries and asked:
        for place, near_query, cosine in _rewordings(asked, queries, embedder):
            yield place, 4, cosine, queries[near_query]


def _rewordings(
    asked: Sequence[str], queries: Sequence[str], embedder: "FineTunedEmbedder"
) -> Iterator[tuple[int, int, float]]:
    """Yield (place of the question, place of the query, cosine); memory holds the vectors of one block of queries."""
    questions = embedder.encode(asked, role="query")
    every = -(-len(queries) // _USUAL_OF)
    some: list[Any] = []
    near: list[tuple[int, int, float]] = []
    for start in range(0, len(queries), _QUERIES_AT_ONCE):
        cosines = questions @ embedder.encode(queries[start : start + _QUERIES_AT_ONCE], role="query").T
        some.append(cosines[:, -start % every :: every])
        # The usual cosine is known at the end, and is -1 at least.
        found = np.argwhere(cosines >= 2 * NEAR_COSINE - 1)
        near += [(place, start + query, float(cosines[place, query])) for place, query in found.tolist()]
    usual = float(np.median(np.concatenate(some, axis=1)))
    yield from sorted(each for each in near if (each[2] - usual) / max(1 - usual, 1e-6) >= NEAR_COSINE)


def _rarity(texts: Sequence[str]) -> dict[str, float]:
    # Questions of one mould ("what happened in chapter 4") share most words; those that tell them apart are rare.
    often = Counter(word for text in texts for word in words(text))
    return {word: math.log(1 + len(texts) / count) - math.log(2) for word, count in often.items()}


def _weighted(left: frozenset[str], right: frozenset[str], weights: Mapping[str, float]) -> float:
    if left == right:
        return 1.0
    total = sum(weights[word] for word in left | right)
    return sum(weights[word] for word in left & right) / total if total else 1.0


def hashed(text: str) -> str:
    """Return what is kept of a training text in place of itself: its hash without case, punctuation, extra spaces."""
    return HASHED + hashlib.sha256(plain(text).encode()).hexdigest()


def origin(pair: Pair) -> Any:
    """Return the id of the question that a pair was made from, or None."""
    nested = pair.metadata.get("metadata")
    for holder in (pair.metadata, nested if isinstance(nested, Mapping) else {}):
        if holder.get("original_question_id") is not None:
            return holder["original_question_id"]
    return None
