"""Texts that say the same in nearly the same words, found without comparing every one with every other."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from dragon_finetune.wording import compared, plain_words

NEAR = 0.8
"""Share of common words (Jaccard) from which two texts count as near-duplicates."""


_NOTHING: dict[tuple[int, int], list[int]] = {}


class Near(NamedTuple):
    """Texts `left` and `right` (their indices) share this share of their different words, 0 to 1."""

    left: int
    right: int
    jaccard: float


def plain(text: str) -> str:
    """Return the text without case, punctuation and extra spaces, its letters in one encoding.

    A text of punctuation alone is returned as it stands.
    """
    return " ".join(plain_words(text)) or text


def words(text: str) -> frozenset[str]:
    """Return the different words of a text as `plain` has them; of scripts without spaces the pairs of letters."""
    return frozenset(compared(plain(text).split(" ")))


def jaccard(left: frozenset[str], right: frozenset[str]) -> float:
    """Return the share of all words that both have."""
    return len(left & right) / len(left | right)


def near_duplicates(left: Sequence[str], right: Sequence[str], threshold: float = NEAR) -> Iterator[Near]:
    """Yield every pair of texts whose Jaccard similarity of words is at least `threshold`, by `left`, then `right`.

    Two such texts share one of their rarest words, so that only few are compared (prefix filtering: Chaudhuri, Ganti
    & Kaushik 2006, "A primitive operator for similarity joins"), and the first that they share stands early enough
    for as many to follow as must be shared (positional filtering: Xiao et al. 2008, "Efficient similarity joins for
    near duplicate detection"), so that texts of one mould are not all compared either.

    Give the same sequence twice to search within one: each pair then comes in both orders, and each text with itself.
    Memory holds the words of `right`, not of `left`.
    """
    right_words = [words(text) for text in right]
    left_words = right_words if right is left else map(words, left)
    often = Counter(word for text in right_words for word in text)
    # Word -> (size of the text, place of the word in it) -> texts.
    index: dict[str, dict[tuple[int, int], list[int]]] = defaultdict(lambda: defaultdict(list))
    for number, text in enumerate(right_words):
        for place, word in enumerate(_rarest(text, often, threshold)):
            index[word][len(text), place].append(number)
    for number, text in enumerate(left_words):
        candidates = {
            other
            for place, word in enumerate(_rarest(text, often, threshold))
            for (size, other_place), others in index.get(word, _NOTHING).items()
            if _may_reach(len(text), place, size, other_place, threshold)
            for other in others
        }
        for other in sorted(candidates):
            share = jaccard(text, right_words[other])
            if share >= threshold:
                yield Near(number, other, share)


def _rarest(text: frozenset[str], often: Counter[str], threshold: float) -> list[str]:
    # At least ceil(threshold * size) words are shared, so one of the others plus one must be.
    needed = len(text) - math.ceil(threshold * len(text) - 1e-9) + 1
    return sorted(text, key=lambda word: (often[word], word))[:needed]


def _may_reach(one: int, place: int, two: int, other_place: int, threshold: float) -> bool:
    """Tell whether texts of these numbers of words, whose first common one stands there, can be near."""
    most = min(one - place, two - other_place)
    return most >= threshold * (one + two - most) - 1e-9
