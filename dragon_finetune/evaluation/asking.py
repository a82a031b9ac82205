"""Judged questions asked of a base, and then of other models."""

from pathlib import Path
from typing import Any

from dragon_finetune.evaluation.judged import JudgedComparison, compare_judged, load_judged, rank_judged, told_apart
from dragon_finetune.evaluation.metrics import Ranking
from dragon_finetune.evaluation.runs import Corpus, embedder_of


class JudgedQuestions:
    """Judged questions, asked of the base at once, and of any model once.

    Args:
        file: of the questions (`load_judged`).
        corpus: whose chunks answer them.
        base: a model folder, hub name, or "embedded".
        seed: of the resampling.

    Attributes:
        base: how the base ranks the answers of each question.

    Raises:
        DataError: a bad file; names the question.
    """

    def __init__(self, file: Path, corpus: Corpus, base: str, *, seed: int = 0) -> None:
        self._corpus, self._seed = corpus, seed
        self._questions = load_judged(file, corpus.chunks)
        self._asked: dict[str, list[Ranking]] = {}
        self.base = self._rank(base)

    @property
    def told_apart(self) -> list[dict[str, Any]]:
        """The questions with ids that no host's question has."""
        return told_apart(self._questions)

    def compare(self, model: str, base: str | None = None) -> JudgedComparison:
        """Return what the questions say of a model against the base, or against another model in its place."""
        before = self.base if base is None else self._rank(base)
        return compare_judged(self._questions, before, self._rank(model), seed=self._seed)

    def _rank(self, model: str) -> list[Ranking]:
        corpus = self._corpus
        if model not in self._asked:
            self._asked[model] = rank_judged(
                embedder_of(model),
                corpus.files,
                self._questions,
                corpus.relevance,
                vectors=corpus.vectors,
                text_field=corpus.text_field,
            )
        return self._asked[model]
