"""The texts on which an export must agree with the model: the user's own, and odd ones."""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from dragon_finetune.chunks import read_chunks
from dragon_finetune.embedding.probes import probes
from dragon_finetune.errors import DataError
from dragon_finetune.evaluation.training_queries import read_training_queries
from dragon_finetune.export.source import Source
from dragon_finetune.tokens.counting import TokenCounter

COUNT = 64
"""Texts of a proof."""
_ODD = [
    "Ilse Tarrowin kept the greywick of the Thaul while the Reckoners skeined their ulm.",
    "WHO LIT THE LAMP OF THE ORIEL? IRON JORUN DID NOT.",
    "Où sonne la cloche creuse? Zürich, Ångström, naïve façade, São Tomé, Łódź; čeština, İstanbul.",
    "“Where,” she asked, “is No. 5?” — 3.50 marks (e.g.): §7/b, a_b, x=y+1; ok…",
    "日本語の鐘 и колокол, ο κώδωνας, الجرس.",
    "a",
    ".",
]
_WORDS_OF_A_LONG_TEXT = 4_000


class ProofTexts(NamedTuple):
    """Documents within the model's limit, and where they are from, in words."""

    documents: list[str]
    origin: str


def proof_texts(source: Source, file: Path | None = None) -> ProofTexts:
    """Return 64 documents within the limit: drawn from the user's, odd ones, and two as long as can be.

    A text over the limit is cut behind a word.

    Args:
        source: the model.
        file: JSON lines with `text`. Default: what the model was trained on, if its folder tells; else general texts.

    Raises:
        DataError: the file can't be read, or has no text of which a word is within the limit.
    """
    given, origin = _given(source, file)
    counter = TokenCounter(source.folder)
    odd = [*_ODD, *_longest(given, counter, source.limit)]
    dice = random.Random(0)
    drawn = dice.sample(given, min(len(given), COUNT))
    within = [cut for text in drawn if (cut := _cut(text.split(), counter, source.limit, text))][: COUNT - len(odd)]
    if file and not within:
        found = f"no text has a word within the limit of {source.limit} tokens" if given else "there is no text in it"
        raise DataError(f"{file}: {found}. Give JSON lines with `text`.")
    odd = [cut for text in odd if (cut := _cut(text.split(), counter, source.limit, text))]
    return ProofTexts([*within, *odd], f"{len(within)} of {origin}, {len(odd)} odd and long ones")


def _given(source: Source, file: Path | None) -> tuple[list[str], str]:
    if file:
        return list(dict.fromkeys(chunk.text for chunk in read_chunks([file], unique=False))), str(file)
    # Of a hashed training there is nothing but hashes, each one word.
    pairs = read_training_queries(source.folder.path) or []
    texts = list(dict.fromkeys(text for pair in pairs for text in (pair.query, pair.positive) if " " in text))
    return (texts, "the model's training") if texts else (list(dict.fromkeys(_general())), "general texts")


def _general() -> Iterator[str]:
    words = " ".join([*probes(), *_ODD]).split()
    dice = random.Random(0)
    yield from probes()
    for number in range(COUNT):
        yield " ".join(dice.choices(words, k=5 + number))


def _cut(words: Sequence[str], counter: TokenCounter, limit: int, text: str | None = None) -> str:
    """Return the text if it is within the limit, else as many of its words as are, "" for none."""
    if text and _fits(text, counter, limit):
        return text
    low, high = 0, len(words)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if _fits(" ".join(words[:middle]), counter, limit) else (low, middle - 1)
    return " ".join(words[:low])


def _fits(text: str, counter: TokenCounter, limit: int) -> bool:
    return counter.full_counts([text])[0] <= limit


def _longest(texts: Sequence[str], counter: TokenCounter, limit: int) -> list[str]:
    """Return one text as long as whole words of the texts allow, and one of half its words."""
    words = " ".join(texts).split()[:_WORDS_OF_A_LONG_TEXT] or ["tide"]
    words *= -(-limit // len(words))
    longest = _cut(words, counter, limit).split()
    return [" ".join(longest), " ".join(longest[: len(longest) // 2])]
