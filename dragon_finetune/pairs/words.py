"""Words and names of a corpus, found without case."""

import re
from collections.abc import Sequence

_WORD = re.compile(r"[^\W_]+(?:['’\-][^\W_]+)*")
# Words that tell English from other languages, and that no question is about.
ENGLISH = frozenset(
    "the of and a to in is was he that it his her for on are as with they at be this have from or had by not but what "
    "all were we when your can said there use an each which she do how their if will who him them been has would more "
    "did its into no my than about".split()
)


def tokens(text: str) -> list[str]:
    """Return the words of a text, without case."""
    return _WORD.findall(text.casefold())


def mentions(names: Sequence[str], text: str) -> str | None:
    """Return the first of the names that stands in the text as whole words, or None."""
    return next((name for name in names if name_pattern(name).search(text)), None)


def name_pattern(name: str) -> re.Pattern[str]:
    """Return the pattern of a name as whole words, in any case."""
    return re.compile(rf"(?<!\w){re.escape(name)}(?!\w)", re.IGNORECASE)
