"""A lexicon learned from a corpus."""

from collections.abc import Iterable

import numpy as np

from dragon_finetune.errors import DataError
from dragon_finetune.lexical.lexicon import DIMENSIONS, SHARE, Lexicon, check_settings
from dragon_finetune.lexical.sketch import Sketcher
from dragon_finetune.lexical.words import endings_of, words_of

_REACH = 0.95
"""Of the passages whose sketches are kept at their size; those of the others are cut to it (`Lexicon.reach`)."""


def require_words(texts: Iterable[str]) -> None:
    """Raise DataError if no text has a word in it."""
    passages = list(texts)
    if not any(True for text in passages for _ in words_of(text, None)):
        raise DataError(f"none of the {len(passages)} passages has a word in it, so there is no lexicon.")


def learn(texts: Iterable[str], *, dimensions: int = DIMENSIONS, share: float = SHARE, seed: int = 0) -> Lexicon:
    """Return the lexicon of a corpus.

    Args:
        texts: its passages; held in memory.
        dimensions: numbers in a sketch.
        share: how much the words have to say.
        seed: of the hash.

    Raises:
        DataError: no passage has a word.
        SettingsError: `dimensions` or `share` is out of bounds.
    """
    check_settings(dimensions, share)
    from sklearn.feature_extraction.text import CountVectorizer  # scipy and all: a second

    passages = list(texts)
    require_words(passages)
    endings = endings_of(passages)
    counter = CountVectorizer(analyzer=lambda text: list(words_of(text, endings)), dtype=np.int32)
    counts = counter.fit_transform(passages)
    seen = np.bincount(counts.indices, minlength=counts.shape[1])
    known = Lexicon(
        passages=len(passages),
        mean_length=float(counts.sum() / len(passages)),
        endings=endings,
        dimensions=dimensions,
        seed=seed,
        share=float(share),
        reach=1.0,
        frequencies={word: int(seen[place]) for word, place in sorted(counter.vocabulary_.items())},
    )
    # Columns are in the order of the words, as `frequencies` are.
    sizes = Sketcher(known).sizes(counts.astype(np.float64))
    return known.model_copy(update={"reach": float(np.quantile(sizes[sizes > 0], _REACH))})
