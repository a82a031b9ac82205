"""A run to score: a host's answers file, or a model whose retrieval we run ourselves."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dragon_finetune.chunks import ChunkRef, read_chunks
from dragon_finetune.errors import SettingsError
from dragon_finetune.evaluation.era import OWN_RETRIEVAL, Era, agreed, asked_for
from dragon_finetune.evaluation.metrics import Ranking
from dragon_finetune.evaluation.questions import load_answers, load_questions, require_judgeable
from dragon_finetune.evaluation.relevance import Relevance, rank_results
from dragon_finetune.evaluation.scores import Evaluation, evaluate

if TYPE_CHECKING:
    from dragon_finetune.embedding.embedder import FineTunedEmbedder


@dataclass(frozen=True)
class Corpus:
    """What runs are scored over.

    Attributes:
        files: chunk files; empty if unknown: then recall and its like can't be told.
        questions: the questions file, for models.
        vectors: folder in which vectors are kept; default: the user's cache.
        text_field: the field of the chunks that holds the text (`read_chunks`).
    """

    files: tuple[Path, ...] = ()
    questions: Path | None = None
    vectors: Path | None = None
    text_field: str | None = None

    @cached_property
    def chunks(self) -> list[ChunkRef]:
        """The chunks of all files."""
        return list(read_chunks(self.files, unique=False, text_field=self.text_field))

    @cached_property
    def relevance(self) -> Relevance:
        """Which of them are relevant to a question."""
        return Relevance(self.chunks)


@dataclass(frozen=True)
class Run:
    """One scored run.

    Attributes:
        results: the questions with what was retrieved for each.
        evaluation: their scores, by their era's rules.
        rankings: question id -> ranking metrics; None if the corpus is unknown.
        model: the model whose retrieval this is, None for an answers file.
    """

    results: list[dict[str, Any]]
    evaluation: Evaluation
    rankings: dict[Any, Ranking | None] | None
    model: str | None


def load_run(source: str | Path, corpus: Corpus, era: str | None = None) -> Run:
    """Return `load_runs` of one source."""
    return load_runs([source], corpus, era)[0]


def load_runs(sources: Sequence[str | Path], corpus: Corpus, era: str | None = None) -> list[Run]:
    """Return runs, all judged by one era's rules: an answers file is read; a model retrieves over the corpus.

    Args:
        sources: each an answers file (.json), or a model folder, hub name, or "embedded".
        corpus: a model needs its files and questions.
        era: "a" or "b"; default: what the answers files tell.

    Raises:
        SettingsError: a model without chunk files or questions, or no such era.
        DataError: a bad file, or files of different eras.
    """
    asked = None if era is None else asked_for(era)
    found = [_load(str(source), corpus) for source in sources]
    judged_by = asked or agreed({str(source): told for source, (_, told, _) in zip(sources, found, strict=True)})
    return [_judged(source, *each[::2], judged_by, corpus) for source, each in zip(sources, found, strict=True)]


def _load(source: str, corpus: Corpus) -> tuple[list[dict[str, Any]], Era, str | None]:
    if source.endswith(".json"):
        return *load_answers(source), None
    return _retrieve(source, corpus), OWN_RETRIEVAL, source


def _judged(source: str | Path, results: list[dict[str, Any]], model: str | None, era: Era, corpus: Corpus) -> Run:
    require_judgeable(results, source, era.name)
    rankings = rank_results(results, corpus.relevance) if corpus.files else None
    return Run(results, evaluate(results, era), rankings, model)


def _retrieve(model: str, corpus: Corpus) -> list[dict[str, Any]]:
    from dragon_finetune.evaluation.retrieval import retrieve

    if not corpus.files or corpus.questions is None:
        raise SettingsError(f"{model} is no answers file (.json), so it is a model: give --chunks and --questions too.")
    questions = load_questions(corpus.questions)
    embedder = embedder_of(model)
    return retrieve(embedder, corpus.files, questions, vectors=corpus.vectors, text_field=corpus.text_field)


def embedder_of(model: str) -> "FineTunedEmbedder":
    """Return a model as runs are made with it."""
    from dragon_finetune.embedding.embedder import FineTunedEmbedder

    # Split, so that long chunks are read to their end, by the base and the tuned model alike.
    return FineTunedEmbedder(model, on_overflow="split")
