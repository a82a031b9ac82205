"""What a model was trained on, kept in its folder so that leaks can be found months later."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from dragon_finetune.errors import DataError
from dragon_finetune.evaluation.leak_matching import hashed, origin
from dragon_finetune.files import read_jsonl, write_jsonl
from dragon_finetune.model_place import TRAINING_QUERIES
from dragon_finetune.pair import Pair


def write_training_queries(folder: Path, pairs: Sequence[Pair], texts: Literal["full", "hashed"] = "full") -> None:
    """Write what `read_training_queries` reads into a model folder: queries and passages, or only their hashes."""
    kept = hashed if texts == "hashed" else str
    write_jsonl(
        folder / TRAINING_QUERIES,
        (
            {"query": kept(pair.query), "positive_text": kept(pair.positive), "original_question_id": origin(pair)}
            for pair in pairs
        ),
    )


def read_training_queries(model: Path | str) -> list[Pair] | None:
    """Return the pairs that a model of ours was trained on, or None if its folder does not tell.

    Raises:
        DataError: the file is damaged.
    """
    file = Path(model) / TRAINING_QUERIES
    if not file.is_file():
        return None
    pairs = []
    for number, record in read_jsonl(file):
        try:
            origin = {"original_question_id": record["original_question_id"]}
            pairs.append(Pair(record["query"], record["positive_text"], (), origin))
        except KeyError as error:
            raise DataError(f"{file}, line {number}: {error} is missing. Train again, or delete the file.") from None
    return pairs
