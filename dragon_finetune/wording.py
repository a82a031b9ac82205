"""What counts as a word, in any script and however its letters are encoded."""

import unicodedata
from collections.abc import Iterable, Iterator

import regex

# Scripts that put no space between words, and the marks they share.
_UNSPACED = r"\p{Han}\p{scx=Hira}\p{scx=Kana}\p{Bopomofo}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_RUN = regex.compile(rf"[{_UNSPACED}]+|[^{_UNSPACED}]+")
_HAS_UNSPACED = regex.compile(rf"[{_UNSPACED}]")
_STARTS_UNSPACED = regex.compile(rf"[{_UNSPACED}]")
_ENDS_UNSPACED = regex.compile(rf"[{_UNSPACED}]$")
_WORD = regex.compile(r"\w+")
# About a word: in Japanese ideographs or katakana with the endings behind them; else four letters with their marks.
_KATAKANA = r"(?:(?=\w)\p{scx=Kana})+"
_PIECE = regex.compile(
    rf"(?:\p{{Han}}{{1,4}}|{_KATAKANA})?\p{{Hiragana}}{{1,4}}|\p{{Han}}{{1,4}}|{_KATAKANA}"
    rf"|(?:(?=\w)[{_UNSPACED}]\p{{M}}*+){{1,4}}|(?:(?!(?=\w)[{_UNSPACED}]).)+"
)
# Words that tell English from other languages, and that no question is about.
ENGLISH = frozenset(
    "the of and a to in is was he that it his her for on are as with they at be this have from or had by not but what "
    "all were we when your can said there use an each which she do how their if will who him them been has would more "
    "did its into no my than about".split()
)


def normal(text: str) -> str:
    """Return the text without case, its letters in one encoding (NFKC: é is one letter, Ａ is a, ﬁ is fi)."""
    if text.isascii():
        return text.casefold()
    # Folding can take a letter apart again.
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def plain_words(text: str) -> list[str]:
    """Return the runs of letters, digits and marks of a text, normalised, in order.

    Between letters of a script without spaces nothing divides: a comma or a space there is punctuation only.
    """
    found: list[str] = []
    for word in _WORD.findall(normal(text)):
        if found and _STARTS_UNSPACED.match(word) and _ENDS_UNSPACED.search(found[-1]):
            found[-1] += word
        else:
            found.append(word)
    return found


def compared(words: Iterable[str]) -> Iterator[str]:
    """Yield what texts have in common if they say the same: the words; of a script without spaces pairs of letters.

    Pairs of letters find what a dictionary would, and need none (Nie et al. 2000, "On the use of words and n-grams for
    Chinese information retrieval"). A letter alone is itself.
    """
    for word in words:
        if word.isascii() or not _HAS_UNSPACED.search(word):
            yield word
            continue
        for run in by_script(word):
            if len(run) > 1 and _STARTS_UNSPACED.match(run):
                yield from (run[at : at + 2] for at in range(len(run) - 1))
            else:
                yield run


def by_script(word: str) -> list[str]:
    """Return the parts of a word, in order, that are of scripts without spaces, and those that are not."""
    parts: list[str] = _RUN.findall(word)
    return parts


def spoken(text: str) -> list[str]:
    """Return a text's words as they stand, punctuation included; of a script without spaces pieces about as long."""
    return [piece for word in text.split() for piece in (_PIECE.findall(word) if has_unspaced(word) else [word])]


def run_together(words: Iterable[str]) -> str:
    """Return words that follow one another as a text: with spaces, but where their script has none."""
    text = ""
    for word in words:
        glued = not text or (_ENDS_UNSPACED.search(text) and _STARTS_UNSPACED.match(word))
        text += word if glued else f" {word}"
    return text


def has_unspaced(text: str) -> bool:
    """Tell whether a text has letters of a script that puts no space between words."""
    return not text.isascii() and bool(_HAS_UNSPACED.search(text))
