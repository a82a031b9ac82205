"""What is known of a model's training: its pairs, its card, and whether a run's questions leaked."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dragon_finetune.evaluation.leaks import LeakReport, find_leaks
from dragon_finetune.evaluation.runs import Run
from dragon_finetune.evaluation.training_queries import read_training_queries
from dragon_finetune.files import read_json
from dragon_finetune.model_place import CARD, EMBEDDED, LEVEL, LEXICON, locate
from dragon_finetune.pair import Pair, read_pairs


def training_pairs(pairs: Path | None, model: str | None) -> list[Pair] | None:
    """Return what was trained on: the pairs file if one is given, else what the model's folder tells, else None.

    Raises:
        DataError: a bad pair; names file and line.
        ModelError: no such model.
    """
    if pairs is not None:
        return read_pairs(pairs)
    return read_training_queries(locate(model)) if model else None


def look_for_leaks(
    run: Run,
    pairs: Sequence[Pair] | None,
    judge: str | None = EMBEDDED,
    *,
    also: Sequence[Mapping[str, Any]] = (),
) -> LeakReport | None:
    """Return the leaks between a run's questions and training pairs; None if no pairs are known.

    Args:
        run: whose questions.
        pairs: of the training.
        judge: the model that finds rewordings; where it is not installed, only words are compared.
        also: further questions that were asked.
    """
    return leaks_among([*run.results, *also], pairs, judge)


def leaks_among(
    questions: Sequence[Mapping[str, Any]], pairs: Sequence[Pair] | None, judge: str | None = EMBEDDED
) -> LeakReport | None:
    """Return the leaks between questions and training pairs; arguments as for `look_for_leaks`."""
    from dragon_finetune.embedding.embedder import FineTunedEmbedder
    from dragon_finetune.errors import ModelError

    if pairs is None:
        return None
    embedder = None
    if judge is not None:
        try:
            embedder = FineTunedEmbedder(judge, on_overflow="truncate")
            embedder.folder  # noqa: B018 (opens it)
        except ModelError:
            embedder = None
    return find_leaks(questions, pairs, embedder)


def distances_of(model: str | None) -> str | None:
    """Return whose level of distances a model's vectors have, in words; None where the model is not known."""
    if model is None:
        return None
    folder = locate(model)
    words = ", words joined to its vectors (lexicon.json)" if (folder / LEXICON).is_file() else ""
    level = "the base's level, kept (level.json)" if (folder / LEVEL).is_file() else "the model's own"
    return f"{level}{words}"


def training_card(model: str | None) -> dict[str, Any]:
    """Return the card of a model that we trained, {} of any other."""
    file = Path(model) / CARD if model else None
    card: dict[str, Any] = read_json(file) if file and file.is_file() else {}
    return card
