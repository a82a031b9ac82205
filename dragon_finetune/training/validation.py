"""Retrieval by queries that are not trained on: bounded in cost, the same before, during and after training."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dragon_finetune.embedding.engine import Vectors, embed_sorted
from dragon_finetune.embedding.torch_engine import TorchEngine
from dragon_finetune.errors import DataError
from dragon_finetune.evaluation.metrics import ndcg_at_10
from dragon_finetune.lexical.learning import learn
from dragon_finetune.lexical.lexicon import Lexicon
from dragon_finetune.lexical.sketch import Sketcher
from dragon_finetune.model_folder import ModelFolder, Prompts, Role
from dragon_finetune.pair import Pair
from dragon_finetune.tokens.batching import TokenBatcher
from dragon_finetune.tokens.counting import TokenCounter
from dragon_finetune.training.judgement import Judgement, Scores

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_BUDGET = 2048
_LOOKED_AT = 10  # times the cap on the corpus


class Validation:
    """nDCG@10 of queries over a corpus of all pairs' passages, both capped; by the model alone and with words.

    The cap on the corpus keeps every right passage and, of the others, those that the untrained model takes for the
    nearest: hard distractors, so that a small corpus is not an easy one. It looks for them among ten times as many,
    which are drawn where there are more: what a look costs does not grow with the pairs.

    Args:
        judges: the pairs whose queries are asked.
        all_pairs: the pairs whose texts make the corpus.
        folder: whose prompts and limit count.
        lexicon: whose words are joined to the vectors; default: one of this corpus's passages.
        with_words: whether the folder that is made has words, so that the joined search decides.
        max_queries, max_corpus: the caps.
        seed: which queries are asked when there are more.
        precision: in which the model embeds here.
        frozen: whether documents go through the same weights in all models that are judged: they are embedded once.
    """

    def __init__(
        self,
        judges: Sequence[Pair],
        all_pairs: Sequence[Pair],
        folder: ModelFolder,
        *,
        lexicon: Lexicon | None = None,
        with_words: bool = False,
        max_queries: int = 500,
        max_corpus: int = 5000,
        seed: int = 0,
        precision: str = "fp32",
        frozen: bool = False,
    ) -> None:
        self._folder, self._precision, self._max_corpus = folder, precision, max_corpus
        self._frozen = frozen
        self._passages: Vectors | None = None
        self._with_words = with_words
        queries = list(dict.fromkeys(pair.query for pair in judges))
        chosen = np.sort(np.random.default_rng(seed).permutation(len(queries))[:max_queries])
        self.queries = [queries[index] for index in chosen.tolist()]
        right: dict[str, set[str]] = {}
        for pair in judges:
            right.setdefault(pair.query, set()).add(pair.positive)
        source_of = {pair.query: str(pair.metadata.get("source", "")) for pair in judges}
        self.sources = [source_of[query] for query in self.queries]
        self._right = [right[query] for query in self.queries]
        texts = list(dict.fromkeys(text for pair in all_pairs for name, text in pair.texts() if name != "query"))
        self._texts = _drawn(texts, {text for texts in self._right for text in texts}, _LOOKED_AT * max_corpus, seed)
        self._narrowed = len(self._texts) <= max_corpus
        self._words = _word_scores(lexicon, self.queries, self._texts)

    def judge(self, model: "SentenceTransformer") -> Judgement:
        """Return nDCG@10 per query; ties go to the earlier passage. The first model judged is the base."""
        prompts, precision = self._folder.prompts, self._precision
        queries = embed_texts(model, prompts, self.queries, "query", precision=precision)
        passages = self._passages
        if passages is None:
            passages = embed_texts(model, prompts, self._texts, "document", precision=precision)
        scores = queries @ passages.T
        if not self._narrowed:
            kept = self._hardest(scores)
            self._texts = [self._texts[index] for index in kept]
            scores, passages, self._narrowed = scores[:, kept], passages[kept], True
            if self._words:
                self._words = WordScores(self._words.share, self._words.scores[:, kept])
        self._passages = passages if self._frozen else None
        joined = self._ndcg(self._words.joined(scores)) if self._words else None
        return Judgement(self._ndcg(scores), joined, self._with_words, _mean_cosine(passages))

    def _ndcg(self, scores: Vectors) -> Scores:
        place = {text: column for column, text in enumerate(self._texts)}
        return np.array(
            [ndcg_at_10(row, [place[text] for text in right]) for row, right in zip(scores, self._right, strict=True)]
        )

    def _hardest(self, scores: Vectors) -> list[int]:
        right = {text for texts in self._right for text in texts}
        must = [index for index, text in enumerate(self._texts) if text in right]
        nearness = np.maximum(scores.max(axis=0), self._words.joined(scores).max(axis=0) if self._words else -np.inf)
        nearness[must] = np.inf
        return sorted(np.argsort(-nearness, kind="stable")[: max(self._max_corpus, len(must))].tolist())


def _drawn(texts: Sequence[str], right: Collection[str], most: int, seed: int) -> list[str]:
    """Return the right texts and as many others, drawn by chance, as make `most`; in their order."""
    others = [place for place, text in enumerate(texts) if text not in right]
    more = max(0, most - (len(texts) - len(others)))
    if len(others) <= more:
        return list(texts)
    drawn = set(np.random.default_rng(seed).choice(others, more, replace=False).tolist())
    return [text for place, text in enumerate(texts) if text in right or place in drawn]


def by_source(sources: Sequence[str], base: Judgement, kept: Judgement) -> dict[str, dict[str, float]]:
    """Return source -> mean nDCG@10 of "base" and "kept" and the number of "queries"; a source to each query."""
    places: dict[str, list[int]] = {}
    for place, source in enumerate(sources):
        places.setdefault(source, []).append(place)
    return {
        source: {
            "base": float(base.ndcg[rows].mean()),
            "kept": float(kept.ndcg[rows].mean()),
            "queries": float(len(rows)),
        }
        for source, rows in sorted(places.items())
    }


@dataclass(frozen=True)
class WordScores:
    """What the words of queries and passages say, (queries, passages), and how much they have to say."""

    share: float
    scores: Vectors

    def joined(self, cosines: Vectors) -> Vectors:
        """Return the scores of joined vectors, but for one number per query (`lexical.joining`)."""
        return (1 - self.share) * cosines + self.share * self.scores


def _word_scores(lexicon: Lexicon | None, queries: Sequence[str], texts: Sequence[str]) -> WordScores | None:
    try:
        sketcher = Sketcher(lexicon or learn(texts))
    except DataError:  # no passage has a word
        return None
    asked = sketcher.queries(queries)
    parts = [asked @ sketcher.documents(texts[at : at + _BUDGET]).T for at in range(0, len(texts), _BUDGET)]
    return WordScores(sketcher.lexicon.share, np.concatenate(parts, axis=1).astype(np.float32))


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
