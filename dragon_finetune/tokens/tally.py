"""Token counts of one field as they stream by, in memory that depends on the lengths and not on the texts."""

import heapq
from typing import Any, NamedTuple

import numpy as np

from dragon_finetune.tokens.audit_report import WORST, FieldAudit, LongText, SourceAudit
from dragon_finetune.tokens.histogram import histogram
from dragon_finetune.tokens.unknown import Unknown

PERCENTILES = (50, 90, 95, 99)


class Text(NamedTuple):
    """A text with its place in the input and the `source` of its record."""

    where: str
    text: str
    source: str | None


class Tally:
    """Counts of one field as they stream by: a count per length, and the five longest."""

    def __init__(self, audit: FieldAudit) -> None:
        self._audit = audit
        self._lengths: dict[int, int] = {}
        self._longest: list[tuple[int, int, Text]] = []

    def add(self, tokens: int, text: Text, unknown: Unknown | None = None) -> None:
        """Count a text, and what is unknown of it."""
        if unknown is not None:
            self._audit.unknown.add(unknown, text.where, text.text)
        self._lengths[tokens] = self._lengths.get(tokens, 0) + 1
        self._audit.texts += 1
        if text.source is not None:
            self._add_source(self._audit.sources.setdefault(text.source, SourceAudit()), tokens)
        # Minus the order of arrival: of equally long texts the first is kept.
        entry = (tokens, -self._audit.texts, text)
        if len(self._longest) < WORST:
            heapq.heappush(self._longest, entry)
        elif entry > self._longest[0]:
            heapq.heapreplace(self._longest, entry)

    def _add_source(self, source: SourceAudit, tokens: int) -> None:
        source.texts += 1
        if self._audit.limit is not None and tokens > self._audit.limit:
            source.over_limit += 1
            source.tokens_lost += tokens - self._audit.limit

    def finish(self) -> FieldAudit:
        """Return the audit of all that was counted."""
        audit = self._audit
        limit = audit.limit
        lengths = np.array(sorted(self._lengths), dtype=np.int64)
        rows = np.array([self._lengths[length] for length in lengths.tolist()], dtype=np.int64)
        audit.max_tokens = int(lengths[-1])
        audit.mean_tokens = float((lengths * rows).sum() / rows.sum())
        audit.unknown.share = audit.unknown.tokens / int((lengths * rows).sum())
        audit.percentiles = {p: _percentile(lengths, rows, p) for p in PERCENTILES}
        if limit is not None:
            audit.over_limit = int(rows[lengths > limit].sum())
            audit.tokens_lost = int((np.maximum(lengths - limit, 0) * rows).sum())
        longest = sorted(self._longest, reverse=True)
        audit.worst = [
            LongText(tokens, text.where, " ".join(text.text[:200].split())[:60]) for tokens, _, text in longest
        ]
        audit.histogram = histogram(self._lengths, limit)
        return audit


def _percentile(lengths: Any, rows: Any, percent: int) -> float:
    # numpy's linear rule, on counts per length, so that memory depends on the lengths and not on the texts.
    position = (rows.sum() - 1) * percent / 100
    ends = rows.cumsum()
    low = lengths[np.searchsorted(ends, np.floor(position), side="right")]
    high = lengths[np.searchsorted(ends, np.ceil(position), side="right")]
    return float(low + (high - low) * (position - np.floor(position)))
