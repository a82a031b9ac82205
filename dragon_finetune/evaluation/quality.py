"""The newer host's score (era B): retrieval quality 0 to 5, which looks at no distance, and its flags."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# The rules and numbers are those of Dragon's Codex, era B (HOST_CONTRACT 7).
_UNWANTED = re.compile(r"[^a-z0-9\s'-]")
_WORD = re.compile(r"\b[\w'-]+\b")
_LOW_QUALITY = 2.5
_LOW_CITATIONS = 2
_FEW_TOPICS = 0.3
_TOP = 5


@dataclass(frozen=True)
class QualityScore:
    """Era B's score of one question.

    Attributes:
        quality: 0 to 5, rounded to 2 decimals: the mean of the next three, times 5.
        coverage: share of the different words of all topics found among those of the chunks.
        precision: share of chunks that hold a whole topic.
        semantic: mean TF-IDF cosine of the topics with the chunks, 0 to 1.
        top_topics: share of whole topics found in the five nearest chunks.
        citations: 0 to 5, 5 without a `sample_citation`; None where the chunks do not tell their files. The host
            compares the cited title with file names, so that any citation practically gives 0 (HOST_CONTRACT 7).
        spoiler: whether a chunk lies beyond the question's temporal limit.
        flagged: quality below 2.5 before it is rounded, `top_topics` below 0.3, `citations` below 2, or a spoiler.
        found: the whole topics found in any chunk.
    """

    quality: float
    coverage: float
    precision: float
    semantic: float
    top_topics: float
    citations: float | None
    spoiler: bool
    flagged: bool
    found: tuple[str, ...]

    @property
    def score(self) -> float:
        """What two runs are compared by."""
        return self.quality

    @property
    def coverage_score(self) -> float:
        """The score without what distances took: they take nothing here."""
        return self.quality


def score_quality(question: Mapping[str, Any], chunks: Sequence[Mapping[str, Any]]) -> QualityScore:
    """Return the score that the host's era B evaluation gives.

    Args:
        question: `expected_topics`, `temporal_limit` and `sample_citation` are read; without topics coverage, semantic
            and `top_topics` are 1.
        chunks: the retrieved chunks, nearest first, each with `text`, maybe `temporal_order` or `book_number`, and
            `source_file`.
    """
    topics = [str(topic) for topic in question.get("expected_topics") or ()]
    texts = [str(chunk["text"]) for chunk in chunks]
    cleaned = [_clean(text) for text in texts]
    coverage = _word_coverage(topics, texts)
    holding = sum(bool(_held(topics, text)) for text in cleaned)
    precision = holding / len(texts) if texts else 0.0
    semantic = _tfidf(topics, cleaned)
    quality = min((coverage + precision + semantic) / 3 * 5, 5)
    top = len(_held(topics, " ".join(cleaned[:_TOP]))) / len(topics) if topics else 1.0
    citations = _citations(question.get("sample_citation"), chunks)
    spoiler = _spoils(question.get("temporal_limit"), chunks)
    low = quality < _LOW_QUALITY or top < _FEW_TOPICS or (citations is not None and citations < _LOW_CITATIONS)
    found = _held(topics, " ".join(cleaned))
    return QualityScore(
        round(quality, 2), coverage, precision, semantic, top, citations, spoiler, low or spoiler, found
    )


def _clean(text: str) -> str:
    return _UNWANTED.sub("", text.lower())


def _held(topics: Sequence[str], cleaned: str) -> tuple[str, ...]:
    return tuple(topic for topic in topics if _clean(topic) in cleaned)


def _word_coverage(topics: Sequence[str], texts: Sequence[str]) -> float:
    wanted = set(_WORD.findall(" ".join(topics).lower()))
    if not wanted:
        return 1.0
    return len(wanted & set(_WORD.findall(" ".join(texts).lower()))) / len(wanted)


def _tfidf(topics: Sequence[str], cleaned: Sequence[str]) -> float:
    from sklearn.feature_extraction.text import TfidfVectorizer  # takes a second to import

    if not topics or not cleaned:
        return 0.0 if topics else 1.0
    documents = [_clean(" ".join(topics)), *cleaned]
    try:
        vectors = TfidfVectorizer().fit_transform(documents)
    except ValueError:  # no word at all in any of them
        return 0.0
    return float(min((vectors[1:] @ vectors[0].T).toarray().mean(), 1.0))


def _citations(cited: Any, chunks: Sequence[Mapping[str, Any]]) -> float | None:
    if not cited:
        return 5.0
    files = {str(chunk["source_file"]).lower() for chunk in chunks if chunk.get("source_file")}
    return 5.0 * (str(cited).lower() in files) if files else None


def _spoils(limit: Any, chunks: Sequence[Mapping[str, Any]]) -> bool:
    if limit is None:
        return False
    orders = (chunk.get("temporal_order") or chunk.get("book_number") for chunk in chunks)
    return any(order is not None and order > limit for order in orders)
