"""Retrieval on held-back pairs: bounded in cost, the same before, during and after training."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from dragon_finetune.embedding.engine import Vectors, embed_sorted
from dragon_finetune.embedding.torch_engine import TorchEngine
from dragon_finetune.evaluation.metrics import ndcg_at_10
from dragon_finetune.model_folder import ModelFolder, Prompts, Role
from dragon_finetune.pair import Pair, asked_from
from dragon_finetune.tokens.batching import TokenBatcher
from dragon_finetune.tokens.counting import TokenCounter
from dragon_finetune.training.judgement import Judgement

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_BUDGET = 2048


class Validation:
    """nDCG@10 of held-back queries over a corpus of all pairs' passages, both capped.

    The cap on the corpus keeps every right passage and, of the others, those that the untrained model takes for the
    nearest: hard distractors, so that a small corpus is not an easy one. Where a query's words are from another passage
    than its positive (`pair.asked_from`), that is the right one: it is surely relevant, no training shows it to this
    query, and a search's first place, which the positive is, is only a guess. (Known-item search.)

    Args:
        held_back: the pairs whose queries are asked.
        all_pairs: the pairs whose texts make the corpus.
        folder: whose prompts and limit count.
        max_queries, max_corpus: the caps.
        seed: which queries are asked when there are more.
        precision: in which the model embeds here.
    """

    def __init__(
        self,
        held_back: Sequence[Pair],
        all_pairs: Sequence[Pair],
        folder: ModelFolder,
        *,
        max_queries: int = 500,
        max_corpus: int = 5000,
        seed: int = 0,
        precision: str = "fp32",
    ) -> None:
        self._folder, self._precision, self._max_corpus = folder, precision, max_corpus
        queries = list(dict.fromkeys(pair.query for pair in held_back))
        chosen = np.sort(np.random.default_rng(seed).permutation(len(queries))[:max_queries])
        self.queries = [queries[index] for index in chosen.tolist()]
        right: dict[str, set[str]] = {}
        for pair, texts in zip(held_back, asked_from(held_back, all_pairs), strict=True):
            right.setdefault(pair.query, set()).update(texts or {pair.positive})
        source_of = {pair.query: str(pair.metadata.get("source", "")) for pair in held_back}
        self._sources = [source_of[query] for query in self.queries]
        self._right = [right[query] for query in self.queries]
        self._texts = list(dict.fromkeys(text for pair in all_pairs for name, text in pair.texts() if name != "query"))
        self._narrowed = len(self._texts) <= max_corpus

    def judge(self, model: "SentenceTransformer") -> Judgement:
        """Return nDCG@10 per query, by cosine; ties go to the earlier passage. The first model judged is the base."""
        prompts, precision = self._folder.prompts, self._precision
        queries = embed_texts(model, prompts, self.queries, "query", precision=precision)
        passages = embed_texts(model, prompts, self._texts, "document", precision=precision)
        scores = queries @ passages.T
        if not self._narrowed:
            kept = self._hardest(scores)
            self._texts = [self._texts[index] for index in kept]
            scores, passages, self._narrowed = scores[:, kept], passages[kept], True
        place = {text: column for column, text in enumerate(self._texts)}
        ndcg = np.array(
            [ndcg_at_10(row, [place[text] for text in right]) for row, right in zip(scores, self._right, strict=True)]
        )
        return Judgement(ndcg, _mean_cosine(passages))

    def by_source(self, base: Judgement, kept: Judgement) -> dict[str, dict[str, float]]:
        """Return source -> mean nDCG@10 of "base" and "kept" and the number of "queries"."""
        places: dict[str, list[int]] = {}
        for place, source in enumerate(self._sources):
            places.setdefault(source, []).append(place)
        return {
            source: {
                "base": float(base.ndcg[rows].mean()),
                "kept": float(kept.ndcg[rows].mean()),
                "queries": float(len(rows)),
            }
            for source, rows in sorted(places.items())
        }

    def _hardest(self, scores: Vectors) -> list[int]:
        right = {text for texts in self._right for text in texts}
        must = [index for index, text in enumerate(self._texts) if text in right]
        nearness = scores.max(axis=0)
        nearness[must] = np.inf
        return sorted(np.argsort(-nearness, kind="stable")[: max(self._max_corpus, len(must))].tolist())


def embed_texts(
    model: "SentenceTransformer", prompts: Prompts, texts: Sequence[str], role: Role, *, precision: str
) -> Vectors:
    """Return unit vectors of a model in training, texts x dimension, as they would be without dropout."""
    engine = TorchEngine(model, precision)
    counter = TokenCounter(engine.tokenizer_of(role), prompt=role, prompts=prompts)
    limit = model.max_seq_length
    lengths = [min(count, limit or count) for count in counter.counts(texts)]
    was_training = model.training
    model.eval()
    vectors = embed_sorted(engine, texts, lengths, prompts.of(role), TokenBatcher(_BUDGET), role=role)
    model.train(was_training)
    return vectors


def _mean_cosine(vectors: Vectors) -> float:
    count = len(vectors)
    if count < 2:
        return 0.0
    total = vectors.sum(axis=0, dtype=np.float64)
    return float((total @ total - count) / (count * (count - 1)))
