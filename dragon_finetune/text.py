"""What counts as a text: a string with visible content that UTF-8 can hold."""

from typing import Any

from dragon_finetune.errors import DataError


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
