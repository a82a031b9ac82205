"""The newer host's score (era B): retrieval quality 0 to 5, which looks at no distance, and its flags."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# The rules and numbers are those of Dragon's Codex, era B (HOST_CONTRACT 7).
_UNWANTED = re.compile(r"[^a-z0-9\s'-]")
_WORD = re.compile(r"\b[\w'-]+\b")
_LOW_QUALITY = 2.5
_LOW_COVERAGE = 0.3


@dataclass(frozen=True)
class QualityScore:
    """Era B's score of one question.

    Attributes:
        quality: 0 to 5, rounded to 2 decimals: the mean of the next three, times 5.
        coverage: share of the different words of all topics found among those of the chunks.
        precision: share of chunks that hold a whole topic.
        semantic: mean TF-IDF cosine of the topics with the chunks, 0 to 1.
        spoiler: whether a chunk lies beyond the question's temporal limit.
        flagged: quality below 2.5, a spoiler, or word coverage of the five nearest chunks below 0.3. (The host also
            flags citations below 2; it compares titles with file names there, so that flag says nothing.)
    """

    quality: float
    coverage: float
    precision: float
    semantic: float
    spoiler: bool
    flagged: bool


def score_quality(question: Mapping[str, Any], chunks: Sequence[Mapping[str, Any]]) -> QualityScore:
    """Return the score that the host's era B evaluation gives.

    Args:
        question: `expected_topics` and `temporal_limit` are read; without topics coverage and semantic are 1.
        chunks: the retrieved chunks, nearest first, each with `text`, maybe `temporal_order` or `book_number`.
    """
    topics = [str(topic) for topic in question.get("expected_topics") or ()]
    texts = [str(chunk["text"]) for chunk in chunks]
    coverage = _word_coverage(topics, texts)
    cleaned = [_clean(topic) for topic in topics]
    holding = sum(any(topic in _clean(text) for topic in cleaned) for text in texts)
    precision = holding / len(texts) if texts else 0.0
    semantic = _tfidf(topics, texts)
    quality = round(min((coverage + precision + semantic) / 3 * 5, 5), 2)
    spoiler = _spoils(question.get("temporal_limit"), chunks)
    flagged = quality < _LOW_QUALITY or spoiler or _word_coverage(topics, texts[:5]) < _LOW_COVERAGE
    return QualityScore(quality, coverage, precision, semantic, spoiler, flagged)


def _clean(text: str) -> str:
    return _UNWANTED.sub("", text.lower())


def _word_coverage(topics: Sequence[str], texts: Sequence[str]) -> float:
    wanted = set(_WORD.findall(" ".join(topics).lower()))
    if not wanted:
        return 1.0
    return len(wanted & set(_WORD.findall(" ".join(texts).lower()))) / len(wanted)


def _tfidf(topics: Sequence[str], texts: Sequence[str]) -> float:
    from sklearn.feature_extraction.text import TfidfVectorizer  # takes a second to import

    if not topics or not texts:
        return 0.0 if topics else 1.0
    documents = [_clean(" ".join(topics)), *map(_clean, texts)]
    try:
        vectors = TfidfVectorizer().fit_transform(documents)
    except ValueError:  # no word at all in any of them
        return 0.0
    return float(min((vectors[1:] @ vectors[0].T).toarray().mean(), 1.0))


def _spoils(limit: Any, chunks: Sequence[Mapping[str, Any]]) -> bool:
    if limit is None:
        return False
    orders = (chunk.get("temporal_order") or chunk.get("book_number") for chunk in chunks)
    return any(order is not None and order > limit for order in orders)
