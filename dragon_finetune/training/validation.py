"""Retrieval on held-back pairs: one figure before and after training."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dragon_finetune.records import Pair
from dragon_finetune.tokens.folder import Prompts

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


class Validation:
    """nDCG@10 of the held-back queries over all positives and negatives of the pairs as corpus.

    Args:
        held_back: the pairs whose queries are asked.
        all_pairs: the pairs whose texts make the corpus.
        prompts: the prompts to embed with.
    """

    def __init__(self, held_back: Sequence[Pair], all_pairs: Sequence[Pair], prompts: Prompts) -> None:
        self._prompts = prompts
        texts = dict.fromkeys(text for pair in all_pairs for name, text in pair.texts() if name != "query")
        ids = {text: str(number) for number, text in enumerate(texts)}
        self._corpus: dict[str, Any] = {identity: text for text, identity in ids.items()}
        queries = {query: str(n) for n, query in enumerate(dict.fromkeys(pair.query for pair in held_back))}
        self._queries: dict[str, Any] = {identity: query for query, identity in queries.items()}
        self._relevant: dict[str, set[str]] = {}
        for pair in held_back:
            self._relevant.setdefault(queries[pair.query], set()).add(ids[pair.positive])

    def ndcg_at_10(self, model: "SentenceTransformer") -> float:
        """Return nDCG@10 (0 to 1, binary relevance) of `model` by cosine."""
        from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator

        # A fresh evaluator per model: it keeps the similarity function of the first it sees.
        evaluator = InformationRetrievalEvaluator(
            self._queries,
            self._corpus,
            self._relevant,
            write_csv=False,
            query_prompt=self._prompts.query,
            corpus_prompt=self._prompts.document,
            main_score_function="cosine",
        )
        return float(evaluator(model)["cosine_ndcg@10"])
