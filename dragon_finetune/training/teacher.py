"""The teacher: BM25 and the untrained base, over the passages of a batch."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dragon_finetune.pair import asked_from
from dragon_finetune.pairs.fusion import Lexical, fused
from dragon_finetune.training.rows import QUERIES, Row

_TEMPERATURES = 9  # that a query's best cosine stands above its mean; 5 and 9 were tried, one seed each (docs/pairs.md)
ABSENT = -1e4  # a similarity that no softmax sees
Embed = Callable[[Sequence[str], Any], npt.NDArray[np.float32]]


class Teacher:
    """BM25 and the untrained base, over the passages of the rows.

    Args:
        rows: whose passages are ranked, and whose queries are asked, by their places.
        embed: (texts, "query" or "document") -> unit vectors of the base.
    """

    def __init__(self, rows: Sequence[Row], embed: Embed) -> None:
        own = [(row[0].positive, *row[0].negatives) for row in rows]
        passages = list(dict.fromkeys(text for texts in own for text in texts))
        place = {text: number for number, text in enumerate(passages)}
        self._own_passages = [[place[text] for text in texts] for texts in own]
        pairs = [pair for row in rows for pair in row]
        self._asked_from = [[place[text] for text in texts if text in place] for texts in asked_from(pairs, pairs)]
        self._texts = [pair.query for pair in pairs]
        self._lexical = Lexical(passages)
        self._queries = embed(self._texts, "query")
        self._passages = embed(passages, "document")
        sample = self._queries[:: -(-len(pairs) // 1000)] @ self._passages.T
        self.temperature = max(1e-3, float((sample.max(axis=1) - sample.mean(axis=1)).mean()) / _TEMPERATURES)
        """What similarities are divided by: from the base's own range, since models differ in it."""

    def similarities(self, rows: Sequence[int], among: Sequence[int]) -> Tensor:
        """Return queries x passages, float32: all rows' first queries, then second..., to all positives, negatives...

        The passage that a query's words are from is not to be learnt; its similarity is below all others.

        Args:
            rows: whose queries.
            among: whose passages; those of other processes too.
        """
        by_column = zip(*(self._own_passages[row] for row in among), strict=True)
        columns = [place for column in by_column for place in column]
        queries = [row * QUERIES + number for number in range(QUERIES) for row in rows]
        similarities = np.empty((len(queries), len(columns)), dtype=np.float32)
        for place, (query, of_base) in enumerate(zip(queries, self._queries[queries] @ self._passages.T, strict=True)):
            scores = fused(of_base, self._lexical.scores(self._texts[query]), without=self._asked_from[query])
            similarities[place] = np.maximum(scores[columns], ABSENT)
        return torch.from_numpy(similarities)
