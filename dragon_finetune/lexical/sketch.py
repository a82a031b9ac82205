"""Sketches: BM25's weights of a text's words in a fixed number of dimensions, so that a dot product finds common words.

Half of the dimensions belong to one word each, the words that weigh most in the corpus; all others share the other
half by a signed hash (Weinberger et al. 2009, arXiv 0902.2206), whose errors cancel out on the whole.
"""

from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from dragon_finetune.lexical.lexicon import Lexicon

Sketches = npt.NDArray[np.float64]
_TELLING = 0.25
"""Mean rarity of a query's words at which they have just the lexicon's share to say."""
_ROWS = 1024


class Sketcher:
    """Makes the sketches of texts.

    Args:
        lexicon: of the corpus that is searched.
    """

    def __init__(self, lexicon: Lexicon) -> None:
        self.lexicon = lexicon

    def documents(self, texts: Sequence[str]) -> Sketches:
        """Return (texts, dimensions): weights sqrt(idf) * saturated count, on the corpus's scale, no longer than 1."""
        sketches = self._sketch([Counter(self.lexicon.words(text)) for text in texts], self._document_weights)
        sizes = np.linalg.norm(sketches, axis=1, keepdims=True)
        scaled: Sketches = sketches / np.maximum(sizes, self.lexicon.reach)
        return scaled

    def queries(self, texts: Sequence[str]) -> Sketches:
        """Return (texts, dimensions): weights sqrt(idf), each sketch as long as its words are telling.

        The length is the mean rarity of the words that are known over 0.25, where rarity is a word's idf in units of
        that of one seen once: 0 if none is known, 4 if all were seen once.
        """
        counted = [Counter(set(self.lexicon.words(text))) for text in texts]
        sketches = self._sketch(counted, self._query_weights)
        sizes = np.linalg.norm(sketches, axis=1, keepdims=True)
        lengths = np.array([[self._rarity(words) / _TELLING] for words in counted]).reshape(-1, 1)
        scaled: Sketches = np.divide(sketches * lengths, sizes, out=np.zeros_like(sketches), where=sizes > 0)
        return scaled

    def unknown(self, texts: Sequence[str]) -> float:
        """Return the share of the texts' running words that the lexicon does not know, 0 to 1."""
        words = [word for text in texts for word in self.lexicon.words(text)]
        return sum(word not in self.lexicon.frequencies for word in words) / len(words) if words else 0.0

    def sizes(self, counts: Any) -> npt.NDArray[np.float64]:
        """Return the lengths of the sketches of passages, unscaled, from a sparse (passages, known words) of counts."""
        from scipy.sparse import csr_matrix

        columns, signs = self._places
        known = len(self.lexicon.frequencies)
        hashing = csr_matrix((signs, (np.arange(known), columns)), shape=(known, self.lexicon.dimensions))
        sizes = []
        for start in range(0, counts.shape[0], _ROWS):
            part = counts[start : start + _ROWS].copy()
            lengths = np.repeat(np.asarray(part.sum(axis=1)).ravel(), np.diff(part.indptr))
            part.data = self.lexicon.saturated(part.data, lengths) * np.sqrt(self.lexicon.idf[part.indices])
            sizes.append(np.sqrt(np.asarray((part @ hashing).power(2).sum(axis=1)).ravel()))
        return np.concatenate(sizes)

    def _rarity(self, words: Counter[str]) -> float:
        idf, places = self.lexicon.idf, self.lexicon.places
        known = [idf[places[word]] for word in words if word in places]
        return float(np.mean(known) / idf[-1]) if known else 0.0

    def _document_weights(self, words: Counter[str], idf: Any) -> Any:
        counts = np.fromiter(words.values(), dtype=np.float64)
        return np.sqrt(idf) * self.lexicon.saturated(counts, counts.sum())

    def _query_weights(self, words: Counter[str], idf: Any) -> Any:
        return np.sqrt(idf)

    def _sketch(self, counted: Sequence[Counter[str]], weigh: Any) -> Sketches:
        sketches = np.zeros((len(counted), self.lexicon.dimensions))
        columns, signs = self._places
        unknown = len(self.lexicon.frequencies)
        for row, words in zip(sketches, counted, strict=True):
            if not words:
                continue
            places = np.array([self.lexicon.places.get(word, unknown) for word in words])
            new = [self._hashed(word) for word, place in zip(words, places, strict=True) if place == unknown]
            at, sign = columns[np.minimum(places, unknown - 1)], signs[np.minimum(places, unknown - 1)]
            if new:
                at[places == unknown], sign[places == unknown] = zip(*new, strict=True)
            np.add.at(row, at, sign * weigh(words, self.lexicon.idf[places]))
        return sketches

    @cached_property
    def _places(self) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
        """Each known word's dimension and sign."""
        hashed = [self._hashed(word) for word in self.lexicon.frequencies]
        columns = np.array([column for column, _ in hashed], dtype=np.intp)
        signs = np.array([sign for _, sign in hashed])
        seen = np.array(list(self.lexicon.frequencies.values()))
        own = np.argsort(-seen * self.lexicon.idf[:-1], kind="stable")[: self._own]
        columns[own], signs[own] = np.arange(len(own)), 1.0
        return columns, signs

    @property
    def _own(self) -> int:
        """How many words have a dimension of their own."""
        return self.lexicon.dimensions // 2

    def _hashed(self, word: str) -> tuple[int, float]:
        from sklearn.utils import murmurhash3_32

        value = murmurhash3_32(word, seed=self.lexicon.seed)
        shared = self.lexicon.dimensions - self._own
        return self._own + abs(value) % shared, 1.0 if value >= 0 else -1.0
