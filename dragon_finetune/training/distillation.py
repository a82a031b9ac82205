"""Learning a whole ranking, not a first place: what BM25 and the base say together of all passages of a batch."""

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import CachedMultipleNegativesRankingLoss
from torch import Tensor
from torch.nn.functional import kl_div, log_softmax, normalize

from dragon_finetune.records import Pair
from dragon_finetune.training.fusion import Lexical, fused
from dragon_finetune.training.pairs import asked_from
from dragon_finetune.training.sources import HYBRID

_TEMPERATURES = 9  # that a query's best cosine stands above its mean; 5 and 9 were tried, one seed each (docs/pairs.md)
_ABSENT = -1e4  # a similarity that no softmax sees
QUERIES = 4
"""Queries per row. A query costs a twentieth of a passage, and what is asked of the same passages shares them."""
Embed = Callable[[Sequence[str], Any], npt.NDArray[np.float32]]
Row = Sequence[Pair]
"""Pairs with the same positive, `QUERIES` of them, where there are fewer some twice; trained as one example."""


def is_distilled(pair: Pair) -> bool:
    """Tell whether a pair was labelled by a search, so that the search's whole ranking can be asked for."""
    return str(pair.metadata.get("source")) == HYBRID


def rows_of(pairs: Iterable[Pair]) -> tuple[list[Row], list[Pair]]:
    """Return the distilled pairs as rows, and the others; of a row's negatives only its first pair's are used."""
    by_positive: dict[str, list[Pair]] = {}
    others = []
    for pair in pairs:
        if is_distilled(pair):
            by_positive.setdefault(pair.positive, []).append(pair)
        else:
            others.append(pair)
    parts = [same[start : start + QUERIES] for same in by_positive.values() for start in range(0, len(same), QUERIES)]
    return [list(itertools.islice(itertools.cycle(part), QUERIES)) for part in parts], others


def examples(pairs: Iterable[Pair]) -> int:
    """Return how many examples the pairs make."""
    rows, others = rows_of(pairs)
    return len(rows) + len(others)


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

    def similarities(self, rows: Sequence[int]) -> Tensor:
        """Return queries x passages, float32: all rows' first queries, then second..., to all positives, negatives...

        The passage that a query's words are from is not to be learnt; its similarity is below all others.
        """
        by_column = zip(*(self._own_passages[row] for row in rows), strict=True)
        columns = [place for column in by_column for place in column]
        queries = [row * QUERIES + number for number in range(QUERIES) for row in rows]
        similarities = np.empty((len(queries), len(columns)), dtype=np.float32)
        for place, (query, of_base) in enumerate(zip(queries, self._queries[queries] @ self._passages.T, strict=True)):
            scores = fused(of_base, self._lexical.scores(self._texts[query]), without=self._asked_from[query])
            similarities[place] = np.maximum(scores[columns], _ABSENT)
        return torch.from_numpy(similarities)


class DistillationLoss(CachedMultipleNegativesRankingLoss):
    """KL divergence from the teacher's to the model's distribution over all passages of the batch.

    A passage that the teacher likes is not pushed away for being another query's, and where the teacher only repeats
    the base nothing is to be learnt. (Hinton et al. 2015, arXiv 1503.02531; a dense model that
    learns from BM25: Chen et al. 2021, arXiv 2110.06918.)

    Args:
        model: trained.
        teacher: its labels are the rows' places.
        dims: prefixes of the vector that are trained as vectors; the loss is their mean.
        cached: cache gradients (GradCache, arXiv 2101.06983), so that memory depends on `slice_tokens` alone.
        slice_tokens: padded tokens that go through the model at once when cached.
    """

    def __init__(
        self, model: SentenceTransformer, teacher: Teacher, *, dims: Sequence[int], cached: bool, slice_tokens: int
    ) -> None:
        super().__init__(model, scale=1 / teacher.temperature, mini_batch_num_tokens=slice_tokens)
        self._teacher, self._dims, self._cached = teacher, tuple(dims), cached

    def forward(self, sentence_features: Iterable[dict[str, Tensor]], labels: Tensor) -> Tensor:
        """Return the loss of a batch.

        Args:
            sentence_features: of the rows' first queries, positives, negatives..., second queries, third...
            labels: the rows' places, int64.
        """
        features = list(sentence_features)
        if self._cached:
            loss: Tensor = self.forward_cached(features, labels)
            return loss
        return self.calculate_loss([[self.model(each)["sentence_embedding"]] for each in features], labels)

    def calculate_loss(
        self, reps: list[list[Tensor]], labels: Tensor | None = None, *, with_backward: bool = False
    ) -> Tensor:
        """Return the loss of vectors, given by column and slice."""
        assert labels is not None
        columns = [torch.cat(slices).float() for slices in reps]
        queries = torch.cat([columns[0], *columns[1 - QUERIES :]])
        passages = torch.cat(columns[1 : 1 - QUERIES])
        teacher = self._teacher.similarities(labels.tolist()).to(queries.device)
        wanted = log_softmax(teacher * self.scale, dim=1)
        losses = []
        for dim in self._dims:
            cosines = normalize(queries[:, :dim], dim=-1) @ normalize(passages[:, :dim], dim=-1).T
            given = log_softmax(cosines.masked_fill(teacher <= _ABSENT, _ABSENT) * self.scale, dim=1)
            losses.append(kl_div(given, wanted, log_target=True, reduction="batchmean"))
        loss = torch.stack(losses).mean()
        if with_backward:
            loss.backward()  # type: ignore[no-untyped-call]
            loss = loss.detach()
        return loss

    def get_config_dict(self) -> dict[str, Any]:
        """Return the settings for a model card."""
        return {"matryoshka_dims": self._dims, "temperature": self.temperature}
