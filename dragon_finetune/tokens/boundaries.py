"""Where a reader would cut a text: headings, paragraphs, sentences."""

import re
from enum import IntEnum
from typing import NamedTuple

# Only white space that every tokenizer treats as such. BERT deletes the other control characters, which joins the
# words on both sides, so they are no place to cut.
SPACE = " \t\n\r\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_CLOSERS = "\"'”’»›)\\]}」』】）*_"
_ENDS = ".!?…‽؟۔।॥։።"
_WIDE_ENDS = "。！？｡"  # of scripts that put no space after a sentence
_MARKED_LINE = r"(?:\#{1,6}\ |={2,})"  # Markdown and wiki headings, which need no blank line around them
# One character class leads, so that the regex engine skips to it, and no run is scanned twice, so that it stays linear.
_CUT = re.compile(f"([{_ENDS}{_WIDE_ENDS}\n\u2029][{_ENDS}{_WIDE_ENDS}]*+[{_CLOSERS}]*+)([{SPACE}]*+)")
_MARKED = re.compile(_MARKED_LINE)
_BLANK = re.compile(f"[{SPACE}]")
_GAP = re.compile(f"[{SPACE}]+")
_LEADING = re.compile(f"[{SPACE}]*")
_TITLED = re.compile(
    rf"{_MARKED_LINE}|(?:chapter|book|part|prologue|epilogue|kapitel|chapitre|cap[íi]tulo|глава)\b", re.IGNORECASE
)
_LONGEST_HEADING = 80
# Words that end in a full stop inside a sentence and before a capital letter, and those that do so before a number.
_TITLES = frozenset(
    "mr mrs ms dr prof st sr jr rev hon capt cpt col gen lt sgt maj adm gov pres sen rep mme mlle fr hr hrn bzw ca vs "
    "e.g i.e cf al approx eds str z.b d.h u.a p.ej sra sta".split()
)
_NUMBERED = frozenset("no nos nr vol vols p pp fig figs sec ch op abb art av".split())
_LINE_ENDS = "\n\u2029"
_OPENERS = "\"'“‘«‹(["


class Level(IntEnum):
    """How good a place is to cut; higher is better."""

    INSIDE = 0
    WORD = 1
    CLAUSE = 2
    SENTENCE = 3
    PARAGRAPH = 4
    HEADING = 5


class Unit(NamedTuple):
    """A piece that is kept whole if it fits: `text[start:end]`; white space from `gap`; how good the cut before is."""

    gap: int
    start: int
    end: int
    level: Level


def sentences(text: str) -> list[Unit]:
    """Return the sentences and headings of `text` in order; between and around them lies only white space."""
    units: list[Unit] = []
    gap_start = start = _LEADING.match(text).end()  # type: ignore[union-attr]
    level = Level.HEADING
    for match in _CUT.finditer(text, start):
        mark, gap = match.groups()
        cut = _cut_at_line(text, match) if mark[0] in _LINE_ENDS else _cut_at_mark(text, match, mark, gap)
        if cut is None:
            continue
        end = _visible_end(text, start, match.start()) if mark[0] in _LINE_ENDS else match.end(1)
        if end > start:
            units.append(Unit(gap_start, start, end, level))
            gap_start = end
        if mark[0] in _LINE_ENDS and units and _is_heading(text, units[-1]):
            units[-1] = units[-1]._replace(level=Level.HEADING)
            cut = min(cut, Level.WORD)  # a heading stays with what it heads
        start, level = match.end(), cut
    end = _visible_end(text, start, len(text))
    if end > start:
        units.append(Unit(gap_start, start, end, level))
    return units


def _cut_at_line(text: str, match: re.Match[str]) -> Level | None:
    if _MARKED.match(text, match.end()):
        return Level.HEADING
    line = match[0]
    return Level.PARAGRAPH if line.count("\n") > 1 or "\u2029" in line else None


def _cut_at_mark(text: str, match: re.Match[str], mark: str, gap: str) -> Level | None:
    if not gap:
        return Level.SENTENCE if mark[0] in _WIDE_ENDS else None
    end = match.end()
    if "\n" in gap:
        if _MARKED.match(text, end):
            return Level.HEADING
        if gap.count("\n") > 1:
            return Level.PARAGRAPH
    following = text[end : end + 1]
    if following.islower():
        return None
    return None if mark == "." and _is_inside_sentence(text, match.start(), following) else Level.SENTENCE


def _is_inside_sentence(text: str, stop: int, following: str) -> bool:
    before = text[max(0, stop - 12) : stop].split()
    word = before[-1].lstrip(_OPENERS).lower() if before else ""
    if len(word) == 1:
        return word.isdigit() or (word.isalpha() and word != "i")
    return word in _TITLES or (word in _NUMBERED and following.isdigit()) or (len(word) == 2 and word.isdigit())


def _is_heading(text: str, unit: Unit) -> bool:
    line = text[unit.start : unit.end]
    if unit.level < Level.PARAGRAPH or len(line) > _LONGEST_HEADING or "\n" in line:
        return False
    return bool(_TITLED.match(line)) or line[-1] not in _ENDS + _WIDE_ENDS + _CLOSERS.replace("\\", "") + ",;:—"


def _visible_end(text: str, start: int, end: int) -> int:
    while end > start and _BLANK.match(text, end - 1):
        end -= 1
    return end
