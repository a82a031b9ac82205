"""What to improve, and by what to judge it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Request:
    """What to improve, and by what to judge it.

    Attributes:
        chunks: what is searched: files of texts of any kind that is read, or folders (docs/input.md).
        base_model: a folder, a hub name, or "embedded".
        output: the folder to work in; see `improving.improve` for what lies there afterwards.
        questions: the test, never trained on: judged questions, a BEIR folder, or a host's questions; None: nothing is
            compared.
        pairs: pairs to train on; None: those of `llm`, or no training.
        llm, llm_url: a model of an Ollama server that writes questions to train on, and where it is.
        budget: seconds; what training would take beyond them is cut or left out. None: no bound.
        text_field: the field of the chunks that holds the text; default: as `read_chunks` finds it.
        training: further `TrainingConfig` settings.
    """

    chunks: tuple[Path, ...]
    base_model: str
    output: Path
    questions: Path | None = None
    pairs: Path | None = None
    llm: str | None = None
    llm_url: str = "http://localhost:11434"
    budget: float | None = None
    text_field: str | None = None
    training: Mapping[str, Any] = field(default_factory=dict)

    @property
    def trains(self) -> bool:
        """Whether there is, or will be, what people or a language model asked."""
        return self.pairs is not None or self.llm is not None
