"""Words of a corpus, found without case."""

import regex

from dragon_finetune.wording import compared, normal

_WORD = regex.compile(r"[^\W_]+(?:['’\-][^\W_]+)*")


def tokens(text: str) -> list[str]:
    """Return the words of a text, without case, in order; of scripts without spaces the pairs of letters."""
    return list(compared(_WORD.findall(normal(text))))
