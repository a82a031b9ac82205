"""Leaks: test questions, or near copies of them, that were trained on."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dragon_finetune.errors import DataError
from dragon_finetune.evaluation.overlap import near_duplicates, plain, words
from dragon_finetune.records import Pair, read_jsonl, write_jsonl
from dragon_finetune.tokens.folder import TRAINING_QUERIES

if TYPE_CHECKING:
    from dragon_finetune.embedding.embedder import FineTunedEmbedder

NEAR_WORDS = 0.7
"""Share of common words, rare ones counting more, from which a query counts as nearly a question."""
NEAR_COSINE = 0.82
"""How far from the usual cosine (the median) to 1 that of a query counts as a rewording, for models differ in scale.
With MiniLM 0.82 is a cosine of about 0.85."""
_KINDS = ("made from it", "the same", "the same but for case and punctuation", "nearly the same words", "a rewording")


@dataclass(frozen=True)
class Leak:
    """One question that was trained on.

    Attributes:
        question_id, question: of the test.
        query: the training query that gives it away.
        kind: how: "made from it" (the pair names the question's id), "the same", "the same but for case and
            punctuation", "nearly the same words", or "a rewording" (by cosine).
        score: share of common words or cosine, 0 to 1.
    """

    question_id: Any
    question: str
    query: str
    kind: str
    score: float


@dataclass(frozen=True)
class LeakReport:
    """All questions that leaked, each by its clearest leak.

    Attributes:
        leaks: by question id.
        queries: how many training queries were compared.
        positives: question id -> ids or beginnings of the retrieved chunks that a leaking query had as its positive.
    """

    leaks: dict[Any, Leak]
    queries: int
    positives: dict[Any, list[str]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.leaks)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON-safe values."""
        leaks = [vars(leak) for leak in self.leaks.values()]
        positives = [{"question_id": identity, "chunks": chunks} for identity, chunks in self.positives.items()]
        return {"queries": self.queries, "leaks": leaks, "trained_positives": positives}

    def __str__(self) -> str:
        if not self.leaks:
            return f"no leaks: none of {self.queries} training queries is a test question or near to one"
        lines = [f"{len(self.leaks)} questions were trained on ({self.queries} training queries):"]
        lines += [
            f"  {leak.question_id}: {leak.question!r} is {leak.kind} as {leak.query!r} ({leak.score:.2f})"
            if leak.kind != _KINDS[0]
            else f"  {leak.question_id}: {leak.question!r}; {leak.query!r} was made from it"
            for leak in self.leaks.values()
        ]
        if self.positives:
            lines.append(f"  for {len(self.positives)} of them a retrieved chunk was the positive of a leaking query")
        return "\n".join(lines)


def find_leaks(
    questions: Sequence[Mapping[str, Any]],
    pairs: Sequence[Pair],
    embedder: "FineTunedEmbedder | None" = None,
) -> LeakReport:
    """Return the questions that the training pairs give away.

    Args:
        questions: of the test; if they hold `retrieved_chunks`, those that were positives of leaking queries are named.
        pairs: of the training.
        embedder: finds rewordings (`NEAR_COSINE`); None: only words are compared.
    """
    asked = [str(question["question"]) for question in questions]
    found: dict[int, tuple[int, float, str]] = {}
    for place, kind, score, query in _matches(questions, pairs, embedder):
        candidate = (kind, -score, query)
        if place not in found or candidate < found[place]:
            found[place] = candidate
    leaks = {
        questions[place]["question_id"]: Leak(
            questions[place]["question_id"], asked[place], query, _KINDS[kind], -negative
        )
        for place, (kind, negative, query) in sorted(found.items())
    }
    return LeakReport(leaks, len({pair.query for pair in pairs}), _trained_positives(questions, pairs, leaks))


def leaking_queries(
    questions: Sequence[Mapping[str, Any]], pairs: Sequence[Pair], embedder: "FineTunedEmbedder | None" = None
) -> set[str]:
    """Return all training queries that give a question away; arguments as for `find_leaks`."""
    return {query for _, _, _, query in _matches(questions, pairs, embedder)}


def _matches(
    questions: Sequence[Mapping[str, Any]], pairs: Sequence[Pair], embedder: "FineTunedEmbedder | None"
) -> Iterator[tuple[int, int, float, str]]:
    """Yield (place of the question, place of the kind in `_KINDS`, score, query) of every leak."""
    asked = [str(question["question"]) for question in questions]
    queries = list(dict.fromkeys(pair.query for pair in pairs))
    by_id = {str(question["question_id"]): place for place, question in enumerate(questions)}
    for pair in pairs:
        made_from = by_id.get(str(_origin(pair)))
        if made_from is not None:
            yield made_from, 0, 1.0, pair.query
    weights = _rarity([*asked, *queries])
    for near in near_duplicates(asked, queries, NEAR_WORDS):
        question, query = asked[near.left], queries[near.right]
        share = _weighted(words(question), words(query), weights)
        if share >= NEAR_WORDS:
            yield near.left, 1 if question == query else 2 if plain(question) == plain(query) else 3, share, query
    if embedder is not None and queries and asked:
        cosines = embedder.encode(asked, role="query") @ embedder.encode(queries, role="query").T
        usual = float(np.median(cosines))
        nearness = (cosines - usual) / max(1 - usual, 1e-6)
        for place, near_query in np.argwhere(nearness >= NEAR_COSINE).tolist():
            yield place, 4, float(cosines[place, near_query]), queries[near_query]


def _rarity(texts: Sequence[str]) -> dict[str, float]:
    # Questions of one mould ("what happened in chapter 4") share most words; those that tell them apart are rare.
    often = Counter(word for text in texts for word in words(text))
    return {word: math.log(1 + len(texts) / count) - math.log(2) for word, count in often.items()}


def _weighted(left: frozenset[str], right: frozenset[str], weights: Mapping[str, float]) -> float:
    if left == right:
        return 1.0
    total = sum(weights[word] for word in left | right)
    return sum(weights[word] for word in left & right) / total if total else 1.0


def _origin(pair: Pair) -> Any:
    nested = pair.metadata.get("metadata")
    for holder in (pair.metadata, nested if isinstance(nested, Mapping) else {}):
        if holder.get("original_question_id") is not None:
            return holder["original_question_id"]
    return None


def _trained_positives(
    questions: Sequence[Mapping[str, Any]], pairs: Sequence[Pair], leaks: Mapping[Any, Leak]
) -> dict[Any, list[str]]:
    positives: dict[str, set[str]] = {}
    for pair in pairs:
        positives.setdefault(pair.query, set()).add(plain(pair.positive))
    found = {}
    for question in questions:
        leak = leaks.get(question["question_id"])
        if leak is None:
            continue
        chunks = [
            str(chunk.get("chunk_id") or f"{chunk['text'][:60]}...")
            for chunk in question.get("retrieved_chunks", ())
            if plain(str(chunk["text"])) in positives[leak.query]
        ]
        if chunks:
            found[question["question_id"]] = chunks
    return found


def write_training_queries(folder: Path, pairs: Sequence[Pair]) -> None:
    """Write what `read_training_queries` reads into a model folder."""
    write_jsonl(
        folder / TRAINING_QUERIES,
        (
            {"query": pair.query, "positive_text": pair.positive, "original_question_id": _origin(pair)}
            for pair in pairs
        ),
    )


def read_training_queries(model: Path | str) -> list[Pair] | None:
    """Return the pairs that a model of ours was trained on, or None if its folder does not tell.

    Raises:
        DataError: the file is damaged.
    """
    file = Path(model) / TRAINING_QUERIES
    if not file.is_file():
        return None
    pairs = []
    for number, record in read_jsonl(file):
        try:
            origin = {"original_question_id": record["original_question_id"]}
            pairs.append(Pair(record["query"], record["positive_text"], (), origin))
        except KeyError as error:
            raise DataError(f"{file}, line {number}: {error} is missing. Train again, or delete the file.") from None
    return pairs
