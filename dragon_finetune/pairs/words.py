"""Words and names of a corpus, found without case."""

import re
import unicodedata
from collections.abc import Sequence

import regex

from dragon_finetune.wording import compared, has_unspaced, normal

_WORD = regex.compile(r"[^\W_]+(?:['’\-][^\W_]+)*")


def tokens(text: str) -> list[str]:
    """Return the words of a text, without case, in order; of scripts without spaces the pairs of letters."""
    return list(compared(_WORD.findall(normal(text))))


def mentions(names: Sequence[str], text: str) -> str | None:
    """Return the first of the names that stands in the text as whole words, or None."""
    return next((name for name in names if name_pattern(name).search(text)), None)


def name_pattern(name: str) -> re.Pattern[str]:
    """Return the pattern of a name as whole words, in any case, its letters in either encoding."""
    forms = dict.fromkeys((name, unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name)))
    # A script without spaces has no word's end to look for.
    before, after = (
        "" if has_unspaced(edge) else rim for edge, rim in ((name[:1], r"(?<!\w)"), (name[-1:], r"(?!\w)"))
    )
    return re.compile(rf"{before}(?:{'|'.join(map(re.escape, forms))}){after}", re.IGNORECASE)
