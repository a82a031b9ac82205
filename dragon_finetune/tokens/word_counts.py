"""Token counts of texts by those of their words, where counts add up: the same word is tokenized once."""

import re
from collections.abc import Sequence
from itertools import chain

from tokenizers import Tokenizer

from dragon_finetune.tokens.boundaries import SPACE

_WORDS = re.compile(f"[^{SPACE}]+").findall
_MOST_CHARS = 1 << 22  # of the words that are kept: some 40 MB with their places in the dictionary


class WordCounts:
    """Counts the tokens of texts without special tokens; `tokenizer` must be one whose counts add up at white space."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._known: dict[str, int] = {}
        self._chars = 0

    def of(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens of each text."""
        split = [_WORDS(text) for text in texts]
        if self._chars > _MOST_CHARS:
            self._known, self._chars = {}, 0
        known = self._known
        new = list(set(chain.from_iterable(split)) - known.keys())
        counts = map(len, self._tokenizer.encode_batch_fast(new, add_special_tokens=False))
        known.update(zip(new, counts, strict=True))
        self._chars += sum(map(len, new))
        return [sum(map(known.__getitem__, words)) for words in split]
