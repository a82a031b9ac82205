"""A run to score: a host's answers file, or a model whose retrieval we run ourselves."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dragon_finetune.chunks import ChunkRef, read_chunks
from dragon_finetune.errors import SettingsError
from dragon_finetune.evaluation.metrics import Ranking
from dragon_finetune.evaluation.questions import load_questions, load_results
from dragon_finetune.evaluation.relevance import Relevance, rank_results
from dragon_finetune.evaluation.scores import Evaluation, evaluate_results

if TYPE_CHECKING:
    from dragon_finetune.embedding.embedder import FineTunedEmbedder


@dataclass(frozen=True)
class Corpus:
    """What runs are scored over.

    Attributes:
        files: chunk files; empty if unknown: then recall and its like can't be told.
        questions: the questions file, for models.
        vectors: folder in which vectors are kept; default: the user's cache.
    """

    files: tuple[Path, ...] = ()
    questions: Path | None = None
    vectors: Path | None = None

    @cached_property
    def chunks(self) -> list[ChunkRef]:
        """The chunks of all files."""
        return list(read_chunks(self.files, unique=False))

    @cached_property
    def relevance(self) -> Relevance:
        """Which of them are relevant to a question."""
        return Relevance(self.chunks)


@dataclass(frozen=True)
class Run:
    """One scored run.

    Attributes:
        results: the questions with what was retrieved for each.
        evaluation: their rubric.
        rankings: question id -> ranking metrics; None if the corpus is unknown.
        model: the model whose retrieval this is, None for an answers file.
    """

    results: list[dict[str, Any]]
    evaluation: Evaluation
    rankings: dict[Any, Ranking | None] | None
    model: str | None


def load_run(source: str | Path, corpus: Corpus) -> Run:
    """Return a run: an answers file is read; a model retrieves over the corpus.

    Args:
        source: an answers file (.json), or a model folder, hub name, or "embedded".
        corpus: a model needs its files and questions.

    Raises:
        SettingsError: a model without chunk files or questions.
        DataError: a bad file.
    """
    if str(source).endswith(".json"):
        results, model = load_results(source), None
    else:
        results, model = _retrieve(str(source), corpus), str(source)
    rankings = rank_results(results, corpus.relevance) if corpus.files else None
    return Run(results, evaluate_results(results), rankings, model)


def _retrieve(model: str, corpus: Corpus) -> list[dict[str, Any]]:
    from dragon_finetune.evaluation.retrieval import retrieve

    if not corpus.files or corpus.questions is None:
        raise SettingsError(f"{model} is no answers file (.json), so it is a model: give --chunks and --questions too.")
    return retrieve(_embedder(model), corpus.files, load_questions(corpus.questions), vectors=corpus.vectors)


def _embedder(model: str) -> "FineTunedEmbedder":
    from dragon_finetune.embedding.embedder import FineTunedEmbedder

    # Split, so that long chunks are read to their end, by the base and the tuned model alike.
    return FineTunedEmbedder(model, on_overflow="split")
