"""BM25 over more passages than can be scored one by one: by the best passages of each word, exactly scored.

Only passages that are among the best for one of the query's words can become candidates (champion lists: Manning,
Raghavan & Schuetze 2008, ch. 7.1.3), so that a query's cost hardly grows with the corpus. The scores
are bm25s's, mapped into memory.
"""

from array import array
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dragon_finetune.pairs.fusion import nearest
from dragon_finetune.pairs.words import tokens

LEAST_CHAMPIONS, MOST_CHAMPIONS = 512, 16_384
Places = npt.NDArray[np.int32]
Scores = npt.NDArray[np.float32]


class Candidates(NamedTuple):
    """Passages that may be among the best for a query: their places, ascending, and their exact scores."""

    places: Places
    scores: Scores

    def best(self, count: int) -> npt.NDArray[np.int64]:
        """Return the rows of up to `count` that have a word of the query, the best first, of equals the earlier."""
        rows = np.array(nearest(self.scores, count), dtype=np.int64)
        return rows[self.scores[rows] > 0]


class FarLexical:
    """BM25, the same as `fusion.Lexical`'s, over many passages.

    Args:
        texts: of the passages.
        vocabulary: all their words.
        folder: where the scores go: 8 bytes for each different word of each passage.
    """

    def __init__(self, texts: Iterable[str], vocabulary: Iterable[str], folder: Path) -> None:
        import bm25s

        self._words = {word: number for number, word in enumerate(vocabulary)}
        # scipy's sorting is linear, and takes half of numpy's memory.
        bm25 = bm25s.BM25(csc_backend="scipy")
        numbers = [array("i", map(self._words.__getitem__, tokens(text))) for text in texts]
        bm25.index((numbers, self._words), create_empty_token=False, show_progress=False)
        self._passages = len(numbers)
        del numbers
        bm25.vocab_dict = {}  # written as JSON else
        bm25.save(folder, show_progress=False)
        del bm25
        stored = bm25s.BM25()
        stored.load_scores(folder, num_docs=self._passages, mmap=True)
        # Plain views, for each slice of a memmap is another memmap, which takes longer than to look.
        self._data, self._indices = (np.asarray(stored.scores[name]) for name in ("data", "indices"))
        self._starts = np.asarray(stored.scores["indptr"], dtype=np.int64)
        self.champions = LEAST_CHAMPIONS
        """Passages that are looked at for each word."""
        self._best_of: dict[tuple[int, int], Places] = {}

    def scores(self, query: str) -> Scores:
        """Return a score per passage, 0 where it has no word of the query: by looking at all of them."""
        scores = np.zeros(self._passages, dtype=np.float32)
        for number, times in self._asked(query):
            part = slice(self._starts[number], self._starts[number + 1])
            scores[self._indices[part]] += times * self._data[part]
        return scores

    def candidates(self, queries: Sequence[str], more: Sequence[Places] | None = None) -> list[Candidates]:
        """Return for each query the passages that are among the best for one of its words, and those of `more`."""
        lists = [[self._champions(number) for number, _ in self._asked(query)] for query in queries]
        for own, others in zip(lists, more or [], strict=more is not None):
            own.append(others)
        places = [_each_once(own) for own in lists]
        return [*map(Candidates, places, self.scores_at(queries, places))]

    def scores_at(self, queries: Sequence[str], places: Sequence[Places]) -> list[Scores]:
        """Return for each query the scores of some passages, exact."""
        scores = [np.zeros(len(some), dtype=np.float32) for some in places]
        asking: dict[int, list[tuple[int, Any]]] = defaultdict(list)
        for row, query in enumerate(queries):
            for number, times in self._asked(query):
                asking[number].append((row, times))
        # Word by word, for most words are in many queries: each is laid out once, and then only looked up.
        of_word = np.zeros(self._passages, dtype=np.float32)
        for number, rows in asking.items():
            part = slice(self._starts[number], self._starts[number + 1])
            of_word[self._indices[part]] = self._data[part]
            for row, times in rows:
                scores[row] += times * of_word[places[row]]
            of_word[self._indices[part]] = 0
        return scores

    def _asked(self, query: str) -> list[tuple[int, Any]]:
        numbers = [self._words[word] for word in tokens(query) if word in self._words]
        return [(number, np.float32(numbers.count(number))) for number in dict.fromkeys(numbers)]

    def _champions(self, number: int) -> Places:
        start, end = self._starts[number], self._starts[number + 1]
        own: Places = self._indices[start:end]
        if len(own) <= self.champions:
            return own
        kept = number, self.champions
        if kept not in self._best_of:
            # Equal scores fall to the earlier passage, as everywhere.
            order = np.argsort(-self._data[start:end], kind="stable")[: self.champions]
            self._best_of[kept] = np.sort(own[order])
        return self._best_of[kept]


def _each_once(lists: Sequence[Places]) -> Places:
    """Return the numbers of all lists, ascending, each once."""
    every = np.sort(np.concatenate([*lists, np.empty(0, dtype=np.int32)]))
    return every[np.diff(every, prepend=-1) > 0]
