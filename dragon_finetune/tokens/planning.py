"""Which units go into which chunk: at most the budget each, cut at the best places, without a tiny tail."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import NamedTuple

from dragon_finetune.tokens.boundaries import Level, Unit

# How full a chunk must be, as a share of the budget, before a cut of this level is taken although more would fit.
# PARAGRAPH is the fill one gives up for a cut between paragraphs; a sentence is broken only if it would otherwise
# leave the chunk less than SENTENCE full.
_FULL_ENOUGH = {
    Level.HEADING: 0.5,
    Level.PARAGRAPH: 0.85,
    Level.SENTENCE: 0.4,
    Level.CLAUSE: 0.7,
    Level.WORD: 0.0,
    Level.INSIDE: 0.0,
}
_EVEN_ENOUGH = 0.15  # how far from the exact half, as a share of the budget, the last two chunks may be cut


class Span(NamedTuple):
    """Units first..end-1 make one chunk; those before `fresh` are overlap with the chunk before."""

    first: int
    fresh: int
    end: int


class Planner:
    """Plans the chunks of one text.

    Args:
        units: the text's units in order, each within the budget.
        counts: tokens of each unit.
        budget: tokens per chunk.
        max_chars: characters per chunk, or None.
        min_chars: characters per chunk at least, wherever budget and text allow it.
        overlap: tokens that a chunk may repeat of the one before.
    """

    def __init__(
        self,
        units: Sequence[Unit],
        counts: Sequence[int],
        budget: int,
        *,
        max_chars: int | None = None,
        min_chars: int = 0,
        overlap: int = 0,
    ) -> None:
        self._levels = [unit.level for unit in units]
        self._starts = [unit.start for unit in units]
        self._ends = [unit.end for unit in units]
        self._before = list(accumulate(counts, initial=0))
        self._budget, self._overlap = budget, overlap
        self._max_chars, self._min_chars = max_chars, min_chars

    def spans(self) -> list[Span]:
        """Return the chunks as spans of units, in order; every unit is fresh in exactly one."""
        spans: list[Span] = []
        first = fresh = 0
        total = len(self._starts)
        while fresh < total:
            end = self._cut(first, fresh, self._reach(first))
            spans.append(Span(first, fresh, end))
            first, fresh = self._overlap_start(first, end), end
        return self._lengthened(spans) if self._min_chars else spans

    def _lengthened(self, spans: list[Span]) -> list[Span]:
        """Return the spans, those below `min_chars` lengthened by units of a neighbour that can spare them."""
        for place, (first, _, end) in enumerate(spans):
            if self._chars(first, end) >= self._min_chars:
                continue
            if place:
                before = spans[place - 1]
                cuts = range(before.fresh + 1, spans[place].fresh)
                cut = next((cut for cut in reversed(cuts) if self._both_fit(before.first, cut, cut, end)), None)
                if cut is not None:
                    spans[place - 1], spans[place] = before._replace(end=cut), Span(cut, cut, end)
                    continue
            if place + 1 < len(spans):
                behind = spans[place + 1]
                cuts = range(behind.fresh + 1, behind.end)
                cut = next((cut for cut in cuts if self._both_fit(first, cut, cut, behind.end)), None)
                if cut is not None:
                    spans[place], spans[place + 1] = spans[place]._replace(end=cut), Span(cut, cut, behind.end)
        return spans

    def _both_fit(self, first: int, end: int, start: int, last: int) -> bool:
        lengths = [self._chars(first, end), self._chars(start, last)]
        return (
            min(lengths) >= self._min_chars
            and max(lengths) <= (self._max_chars or max(lengths))
            and max(self.tokens(first, end), self.tokens(start, last)) <= self._budget
        )

    def _chars(self, first: int, end: int) -> int:
        return self._ends[end - 1] - self._starts[first]

    def tokens(self, first: int, end: int) -> int:
        """Return the tokens of units first..end-1."""
        return self._before[end] - self._before[first]

    def _reach(self, first: int) -> int:
        """Return how far a chunk from `first` can go: the largest `end` within budget and characters."""
        end = bisect_right(self._before, self._before[first] + self._budget) - 1
        if self._max_chars is not None:
            end = min(end, bisect_right(self._ends, self._starts[first] + self._max_chars))
        return max(end, first + 1)

    def _cut(self, first: int, fresh: int, reach: int) -> int:
        total = len(self._starts)
        if reach >= total:
            return total
        low, high = self._long_enough(first, fresh + 1, reach)
        return self._even_cut(first, low, high) or self._best_cut(first, low, high)

    def _long_enough(self, first: int, low: int, high: int) -> tuple[int, int]:
        """Return the cuts that leave `min_chars` on both sides; if none does, those that leave it before."""
        if not self._min_chars:
            return low, high
        before = max(low, bisect_left(self._ends, self._starts[first] + self._min_chars) + 1)
        behind = min(high, bisect_right(self._starts, self._ends[-1] - self._min_chars) - 1)
        if before <= behind:
            return before, behind
        return (before, high) if before <= high else (high, high)

    def _even_cut(self, first: int, low: int, high: int) -> int | None:
        """Return where to cut what is left into two even chunks, if two are enough."""
        rest = self._before[-1] - self._before[first]
        if rest + self._overlap > 2 * self._budget:
            return None
        if self._max_chars is not None:
            low = max(low, bisect_left(self._starts, self._ends[-1] - self._max_chars))
        middle = self._before[first] + rest / 2
        slack = _EVEN_ENOUGH * self._budget
        low = max(low, bisect_left(self._before, max(middle - slack, self._before[-1] - self._budget + self._overlap)))
        high = min(high, bisect_right(self._before, middle + slack) - 1)
        if low > high:
            return None
        return max(range(low, high + 1), key=lambda cut: (self._levels[cut], -abs(self._before[cut] - middle)))

    def _best_cut(self, first: int, low: int, high: int) -> int:
        start = self._before[first]
        for level, share in _FULL_ENOUGH.items():
            full_enough = bisect_left(self._before, start + share * self._budget)
            for cut in range(high, max(low, full_enough) - 1, -1):
                if self._levels[cut] >= level:
                    return cut
        return high

    def _overlap_start(self, first: int, fresh: int) -> int:
        """Return the first unit that the next chunk repeats: at a sentence's start if one is within the overlap."""
        if not self._overlap or fresh >= len(self._starts):
            return fresh
        # The first fresh unit must still fit behind the overlap, or there would be no progress.
        allowed = min(self._overlap, self._budget - self.tokens(fresh, fresh + 1))
        low = max(bisect_left(self._before, self._before[fresh] - allowed), first + 1)
        if self._max_chars is not None:
            low = max(low, bisect_left(self._starts, self._ends[fresh] - self._max_chars))
        whole = (start for start in range(low, fresh) if self._levels[start] >= Level.SENTENCE)
        return next(whole, min(low, fresh))
