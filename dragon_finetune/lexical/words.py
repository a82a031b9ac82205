"""The words of a text as its reader sees them: without case, encoding, possessive endings and hyphens."""

from collections.abc import Container, Iterable, Iterator
from functools import lru_cache
from typing import Any, Literal

import regex

from dragon_finetune.wording import ENGLISH, by_script, compared, has_unspaced, normal

_WORD = regex.compile(r"[^\W_]+(?:'[^\W_]+)*")
_WORD_AS_TYPED = regex.compile(r"[^\W_]+(?:['’\u02bc][^\W_]+)*")
_LETTER = regex.compile(r"\X")  # with its marks
_ONE_APOSTROPHE = str.maketrans("’\u02bc", "''")  # the second is a letter to Unicode; some editors type it
_POSSESSIVE = regex.compile(r"'s?$")
_ENGLISH_SHARE = 0.2  # of running words; English prose has 0.4 to 0.5, other languages below 0.05
_LOOKED_AT = 20_000


def words_of(text: str, endings: str | None) -> Iterator[str]:
    """Yield the words of a text in order; of a script without spaces the pairs of letters.

    Args:
        text: any text.
        endings: the language of a Snowball stemmer that takes endings off ("english"), or None.
    """
    stem = _stemmer(endings)
    for word in compared(_runs(text)):
        yield stem(word if word.isalpha() else _POSSESSIVE.sub("", word))


def places_of(text: str, words: Container[str], endings: str | None) -> Iterator[tuple[int, int]]:
    """Yield where words of `words` stand in a text, [start, end) in characters, in order, apart from one another.

    Args:
        text: any text.
        words: as `words_of` gives them with
        endings: the same.
    """
    start = end = -1
    for begins, ends in _words_as_typed(text):
        if any(word in words for word in words_of(text[begins:ends], endings)):
            # Pairs of letters overlap.
            if begins >= end:
                if end > 0:
                    yield start, end
                start = begins
            end = ends
    if end > 0:
        yield start, end


def _words_as_typed(text: str) -> Iterator[tuple[int, int]]:
    for run in _WORD_AS_TYPED.finditer(text):
        at = run.start()
        for part in by_script(run[0]):
            yield from _pairs(part, at) if has_unspaced(part) else [(at, at + len(part))]
            at += len(part)


def _pairs(part: str, at: int) -> Iterator[tuple[int, int]]:
    letters = [letter.span() for letter in _LETTER.finditer(part)]
    for first, second in zip(letters, letters[1:] or letters, strict=False):
        yield at + first[0], at + second[1]


def endings_of(texts: Iterable[str]) -> Literal["english"] | None:
    """Return "english" if that is what most of the texts are written in, else None: others were not measured."""
    common = seen = 0
    for text in texts:
        words = _runs(text)
        seen += len(words)
        common += sum(word in ENGLISH for word in words)
        if seen > _LOOKED_AT:
            break
    return "english" if seen and common / seen > _ENGLISH_SHARE else None


def _runs(text: str) -> list[str]:
    found: list[str] = _WORD.findall(normal(text).translate(_ONE_APOSTROPHE))
    return found


@lru_cache(maxsize=4)
def _stemmer(language: str | None) -> Any:
    if language is None:
        return str
    # Not by snowballstemmer.stemmer(), which takes another implementation, of another version, where one is installed:
    # a lexicon holds stems, and must be met with the same ones.
    from snowballstemmer.english_stemmer import EnglishStemmer

    return lru_cache(maxsize=200_000)(EnglishStemmer().stemWord)
