"""The test: judged questions, or a host's own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dragon_finetune.chunks import ChunkRef
from dragon_finetune.evaluation.beir import is_test_set
from dragon_finetune.evaluation.judged import load_judged
from dragon_finetune.evaluation.questions import load_questions
from dragon_finetune.files import read_json


@dataclass(frozen=True)
class Questions:
    """The test's questions, and whether they are judged: with the ids of the chunks that answer them."""

    file: Path
    judged: bool
    all: Sequence[Mapping[str, Any]]

    @classmethod
    def read(cls, file: Path, corpus: Sequence[ChunkRef]) -> "Questions":
        """Return the questions of a file or BEIR folder; those with `answers` are judged, a host's have topics.

        Raises:
            DataError: neither form, or a bad question; names it.
        """
        judged = is_test_set(file) or _has_answers(read_json(file))
        return cls(file, judged, load_judged(file, corpus) if judged else load_questions(file))


def _has_answers(content: Any) -> bool:
    questions = content.get("questions") if isinstance(content, Mapping) else None
    first = questions[0] if isinstance(questions, list) and questions else None
    return isinstance(first, Mapping) and "answers" in first
