"""The words of a text as its reader sees them: without case, encoding, possessive endings and hyphens."""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, Literal

import regex

from dragon_finetune.wording import ENGLISH, compared, normal

_WORD = regex.compile(r"[^\W_]+(?:'[^\W_]+)*")
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
