"""Where a sentence is cut when it must be: clauses, words, and what a reader sees as one letter."""

import re
from collections.abc import Iterator

import regex

from dragon_finetune.tokens.boundaries import _CLOSERS, _GAP, SPACE, Level, Unit

_CLAUSE_END = re.compile(rf"[,;:—–،؛、，；：][{_CLOSERS}]*+[{SPACE}]|\n")
_GRAPHEME = regex.compile(r"\X")


def clauses_and_words(text: str, unit: Unit) -> Iterator[Unit]:
    """Yield the words of a unit; the cut after a comma, dash or line end is marked as a clause's."""
    before, start, end, level = unit
    for gap in _GAP.finditer(text, start, end):
        yield Unit(before, start, gap.start(), level)
        before = gap.start()
        level = Level.CLAUSE if _CLAUSE_END.search(text, max(start, gap.start() - 3), gap.end()) else Level.WORD
        start = gap.end()
    yield Unit(before, start, end, level)


def graphemes(text: str, unit: Unit, length: int) -> Iterator[Unit]:
    """Yield pieces of about `length` characters of a word, never cutting between a base and its marks if one fits."""
    before, start, _, level = unit
    while start < unit.end:
        end = min(start + length, unit.end)
        # UAX 29 by the regex library: emoji sequences, combining marks, Hangul and flags stay together.
        if end < unit.end and length > 1:
            last = None
            for match in _GRAPHEME.finditer(text, start, min(end + 64, unit.end)):
                if match.end() > end:
                    break
                last = match.end()
            end = last or end
        yield Unit(before, start, end, level)
        before, start, level = end, end, Level.INSIDE
