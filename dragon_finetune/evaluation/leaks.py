"""Leaks: test questions, or near copies of them, that were trained on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dragon_finetune.evaluation.leak_matching import HASHED, KINDS, hashed, matches
from dragon_finetune.overlap import plain
from dragon_finetune.pair import Pair

if TYPE_CHECKING:
    from dragon_finetune.embedding.embedder import FineTunedEmbedder


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
        hashed: of how many of them only a hash is known, so that no rewording of them is found.
        positives: question id -> ids or beginnings of the retrieved chunks that a leaking query had as its positive.
    """

    leaks: dict[Any, Leak]
    queries: int
    hashed: int = 0
    positives: dict[Any, list[str]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.leaks)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON-safe values."""
        leaks = [vars(leak) for leak in self.leaks.values()]
        positives = [{"question_id": identity, "chunks": chunks} for identity, chunks in self.positives.items()]
        return {"queries": self.queries, "hashed": self.hashed, "leaks": leaks, "trained_positives": positives}

    def __str__(self) -> str:
        if not self.leaks:
            return f"no leaks: none of {self.queries} training queries is a test question or near to one{self._but()}"
        lines = [f"{len(self.leaks)} questions were trained on ({self.queries} training queries{self._but()}):"]
        lines += [
            f"  {leak.question_id}: {leak.question!r} is {leak.kind} as {leak.query!r} ({leak.score:.2f})"
            if leak.kind != KINDS[0]
            else f"  {leak.question_id}: {leak.question!r}; {leak.query!r} was made from it"
            for leak in self.leaks.values()
        ]
        if self.positives:
            lines.append(f"  for {len(self.positives)} of them a retrieved chunk was the positive of a leaking query")
        return "\n".join(lines)

    def _but(self) -> str:
        return f"; of {self.hashed} only hashes are kept, so a rewording of those is not found" if self.hashed else ""


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
    for place, kind, score, query in matches(questions, pairs, embedder):
        candidate = (kind, -score, query)
        if place not in found or candidate < found[place]:
            found[place] = candidate
    leaks = {
        questions[place]["question_id"]: Leak(
            questions[place]["question_id"], asked[place], query, KINDS[kind], -negative
        )
        for place, (kind, negative, query) in sorted(found.items())
    }
    queries = {pair.query for pair in pairs}
    unknown = sum(query.startswith(HASHED) for query in queries)
    return LeakReport(leaks, len(queries), unknown, _trained_positives(questions, pairs, leaks))


def leaking_queries(
    questions: Sequence[Mapping[str, Any]], pairs: Sequence[Pair], embedder: "FineTunedEmbedder | None" = None
) -> set[str]:
    """Return all training queries that give a question away; arguments as for `find_leaks`."""
    return {query for _, _, _, query in matches(questions, pairs, embedder)}


def _trained_positives(
    questions: Sequence[Mapping[str, Any]], pairs: Sequence[Pair], leaks: Mapping[Any, Leak]
) -> dict[Any, list[str]]:
    positives: dict[str, set[str]] = {}
    for pair in pairs:
        text = pair.positive if pair.positive.startswith(HASHED) else plain(pair.positive)
        positives.setdefault(pair.query, set()).add(text)
    found = {}
    for question in questions:
        leak = leaks.get(question["question_id"])
        if leak is None:
            continue
        trained_on = positives.get(leak.query, set()) | positives.get(hashed(leak.query), set())
        chunks = [
            str(chunk.get("chunk_id") or f"{chunk['text'][:60]}...")
            for chunk in question.get("retrieved_chunks", ())
            if {plain(str(chunk["text"])), hashed(str(chunk["text"]))} & trained_on
        ]
        if chunks:
            found[question["question_id"]] = chunks
    return found
