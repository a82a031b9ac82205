"""What counts as a text: a string with visible content that UTF-8 can hold; and how a foreign one is shown."""

import unicodedata
from typing import Any

from dragon_finetune.errors import DataError

_JOINERS = "\u200c\u200d\ufeff\u00ad"  # of scripts and emoji; they move nothing


def check_text(text: Any, where: str) -> str:
    """Return `text` if it is a string with visible content, else raise DataError naming the place and the value."""
    if not isinstance(text, str):
        raise DataError(f"{where}: expected a string, found {type(text).__name__} {text!r:.60}.")
    if not text.strip():
        raise DataError(f"{where}: the text is empty. Remove the item or fill it.")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"{where}: a lone surrogate {text[error.start]!a} at character {error.start}, which is no text. It comes "
            "from reading a file in the wrong encoding; read it as UTF-8."
        ) from None
    return text


def printable(text: str) -> str:
    """Return a text that moves no terminal: control characters and marks of direction as `\\x1b`, line ends and tabs
    as they are.
    """
    return "".join(
        each if each in "\n\t" or unicodedata.category(each) not in ("Cc", "Cf", "Cs") or each in _JOINERS
        else each.encode("unicode_escape").decode()
        for each in text
    )  # fmt: skip
