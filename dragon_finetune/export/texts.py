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
    """Return 64 documents, none over the limit: drawn from the user's, odd ones, and two as long as can be.

    Args:
        source: the model.
        file: JSON lines with `text`. Default: what the model was trained on, if its folder tells; else general texts.

    Raises:
        DataError: the file can't be read, or no text in it is within the limit.
    """
    given, origin = _given(source, file)
    counter = TokenCounter(source.folder)
    odd = [text for text in [*_ODD, *_longest(given, counter, source.limit)] if _fits([text], counter, source.limit)]
    dice = random.Random(0)
    drawn = dice.sample(given, min(len(given), 4 * COUNT))
    within = _fits(drawn, counter, source.limit)[: COUNT - len(odd)]
    if file and not within:
        raise DataError(f"{file}: no text is within the limit of {source.limit} tokens. Chunk them smaller.")
    return ProofTexts([*within, *odd], f"{len(within)} of {origin}, {len(odd)} odd and long ones")


def _given(source: Source, file: Path | None) -> tuple[list[str], str]:
    if file:
        texts, origin = [chunk.text for chunk in read_chunks([file], unique=False)], str(file)
    else:
        # Of a hashed training there is nothing but hashes, each one word.
        pairs = read_training_queries(source.folder.path) or []
        texts = [text for pair in pairs for text in (pair.query, pair.positive) if " " in text]
        origin = "the model's training" if texts else "general texts"
    return list(dict.fromkeys(texts or _general())), origin


def _general() -> Iterator[str]:
    words = " ".join([*probes(), *_ODD]).split()
    dice = random.Random(0)
    yield from probes()
    for number in range(COUNT):
        yield " ".join(dice.choices(words, k=5 + number))


def _fits(texts: Sequence[str], counter: TokenCounter, limit: int) -> list[str]:
    return [text for text, tokens in zip(texts, counter.counts(texts), strict=True) if tokens <= limit]


def _longest(texts: Sequence[str], counter: TokenCounter, limit: int) -> list[str]:
    """Return one text exactly as long as whole words of the texts allow, and one of half that."""
    words = " ".join(texts).split()[:_WORDS_OF_A_LONG_TEXT] or ["tide"]
    words *= -(-limit // len(words))
    low, high = 1, len(words)
    while low < high:
        middle = (low + high + 1) // 2
        fits = _fits([" ".join(words[:middle])], counter, limit)
        low, high = (middle, high) if fits else (low, middle - 1)
    return [" ".join(words[:low]), " ".join(words[: max(1, low // 2)])]
