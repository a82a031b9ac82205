"""What lies where in the folder of an improvement."""

from dataclasses import dataclass
from pathlib import Path

from dragon_finetune.errors import DataError


@dataclass(frozen=True)
class Places:
    """What lies where in the folder of an improvement."""

    folder: Path

    @property
    def plan(self) -> Path:
        """What was planned, and of what; its presence marks the folder as ours."""
        return self.folder / "plan.json"

    @property
    def chunks(self) -> Path:
        """The texts as they were read, each with its id."""
        return self.folder / "chunks.jsonl"

    @property
    def pairs(self) -> Path:
        """What is trained on."""
        return self.folder / "pairs.jsonl"

    @property
    def joined(self) -> Path:
        """The base with the corpus's words."""
        return self.folder / "models" / "joined"

    @property
    def tuned(self) -> Path:
        """The trained model with them."""
        return self.folder / "models" / "tuned"

    @property
    def vectors(self) -> Path:
        """Shards, by fingerprint."""
        return self.folder / "vectors"

    @property
    def page(self) -> Path:
        """What was found, and what to do."""
        return self.folder / "report.html"

    def require_ours(self) -> None:
        """Raise DataError if something else lies in the folder."""
        if self.folder.exists() and (not self.folder.is_dir() or any(self.folder.iterdir())) and not self.plan.exists():
            raise DataError(f"{self.folder} is not empty and holds no improvement. Choose another --output.")
