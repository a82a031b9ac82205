"""What is shown of a chunk: its text around the first word that the query has too, those words marked."""

from collections.abc import Container
from dataclasses import dataclass
from itertools import chain, takewhile

from dragon_finetune.lexical.words import places_of, words_of
from dragon_finetune.wording import ENGLISH

_SHOWN = 1000
_LEAD = 300
_LOOKED_AT = 100_000
_WORD = 40


@dataclass(frozen=True)
class Excerpt:
    """A part of a text.

    Attributes:
        text: the part.
        before, after: characters of the text that are not shown.
        marks: [start, end) in characters of the part (not in UTF-16 units, as JavaScript counts).
    """

    text: str
    before: int
    after: int
    marks: list[tuple[int, int]]


def asked_words(query: str, endings: str | None) -> frozenset[str]:
    """Return the words of a query, without those that every English text has."""
    return frozenset(words_of(query, endings)) - frozenset(words_of(" ".join(ENGLISH), endings))


def excerpt(text: str, words: Container[str], endings: str | None) -> Excerpt:
    """Return about 1,000 characters of a text around the first of `words`; of a text without any its beginning.

    Args:
        text: of a chunk; words are looked for in its first 100,000 characters.
        words: as `asked_words` gives them with
        endings: the same (`lexical.words`).
    """
    places = places_of(text[:_LOOKED_AT], words, endings)
    first = next(places, None)
    start, end = _window(text, first[0] if first else 0)
    within = takewhile(lambda place: place[0] < end, chain([first] if first else [], places))
    marks = [(at - start, min(to, end) - start) for at, to in within]
    return Excerpt(text[start:end], start, len(text) - end, marks)


def _window(text: str, first: int) -> tuple[int, int]:
    if len(text) <= _SHOWN:
        return 0, len(text)
    start = min(max(0, first - _LEAD), len(text) - _SHOWN)
    if start:  # not within a word, where the script has spaces
        start = text.find(" ", start, min(start + _WORD, first)) + 1 or start
    end = min(start + _SHOWN, len(text))
    if end < len(text):
        space = text.rfind(" ", end - _WORD, end)
        end = space if space > 0 else end
    return start, end
