"""How long queries are."""

from dataclasses import dataclass
from pathlib import Path

from dragon_finetune.evaluation.questions import load_questions

_DEFAULT_LENGTHS = (4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 16)


@dataclass(frozen=True)
class QueryStyle:
    """How long queries are; nothing of what they say.

    Attributes:
        lengths: numbers of words to draw from.
    """

    lengths: tuple[int, ...] = _DEFAULT_LENGTHS

    @classmethod
    def of_file(cls, path: Path | str) -> "QueryStyle":
        """Return the style of a questions file; only words are counted."""
        asked = [str(question["question"]) for question in load_questions(path)]
        return cls(lengths=tuple(sorted(len(text.split()) for text in asked)))
