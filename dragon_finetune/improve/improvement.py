"""What an improvement made and found."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dragon_finetune.embedding.lexical_folder import LexicalFolder
from dragon_finetune.improve.choosing import Choice
from dragon_finetune.improve.judging import Judgement
from dragon_finetune.improve.plan import Plan
from dragon_finetune.training.result import TrainingResult


@dataclass(frozen=True)
class Improvement:
    """What was made and found.

    Attributes:
        plan: what was done.
        words: the base with the corpus's words.
        training: what was trained; None: nothing was.
        judgement: what the test's questions say; None: there were none.
        choice: the model to use, and why.
        model: where that lies; the base's own name if it is the base.
        advice: what would help more.
        page: all this to read.
    """

    plan: Plan
    words: LexicalFolder
    training: TrainingResult | None
    judgement: Judgement | None
    choice: Choice
    model: str
    advice: list[str]
    page: Path

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-safe values."""
        return {
            "plan": self.plan.to_dict(),
            "words": self.words.to_dict(),
            "training": self.training.model_dump(mode="json") if self.training else None,
            "judgement": self.judgement.to_dict() if self.judgement else None,
            "choice": vars(self.choice),
            "model": self.model,
            "advice": self.advice,
            "page": str(self.page),
        }

    @property
    def lines_to_paste(self) -> str:
        """What a codex.yaml needs to use the model."""
        if self.choice.name == "base":
            return "embedder: base\nbase:\n  model_path: " + self.model
        return f"embedder: finetuned\nfinetuned:\n  model_path: {self.model}\n  on_overflow: split"

    def __str__(self) -> str:
        lines = [f"use: {self.choice.name} ({self.model})", self.choice.why]
        if self.judgement:
            lines += [f"  {name:<7} {gain}" for name, gain in self.judgement.gains.items()]
        lines += [f"- {each}" for each in self.advice]
        lines += ["", "into codex.yaml:", self.lines_to_paste, "", f"or: {self.serve}", f"page: {self.page}"]
        return "\n".join(lines)

    @property
    def serve(self) -> str:
        """The command by which other programs get the model."""
        return f'dragon-finetune serve --model "{self.model}"'
