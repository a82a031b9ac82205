"""How long queries are, and how many are questions."""

from dataclasses import dataclass
from pathlib import Path

from dragon_finetune.evaluation.questions import load_questions

_DEFAULT_LENGTHS = (4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 16)


@dataclass(frozen=True)
class QueryStyle:
    """How long queries are, and how many are questions; nothing of what they say.

    Attributes:
        lengths: numbers of words to draw from.
        questions: share of queries that end with a question mark, 0 to 1.
    """

    lengths: tuple[int, ...] = _DEFAULT_LENGTHS
    questions: float = 0.5

    @classmethod
    def of_file(cls, path: Path | str) -> "QueryStyle":
        """Return the style of a questions file; only words are counted and last characters looked at."""
        asked = [str(question["question"]) for question in load_questions(path)]
        return cls(
            lengths=tuple(sorted(len(text.split()) for text in asked)),
            questions=sum(text.rstrip().endswith("?") for text in asked) / len(asked),
        )
