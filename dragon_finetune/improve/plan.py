"""What an improvement will do, and about how long that takes."""

from dataclasses import asdict, dataclass
from typing import Any

from dragon_finetune.embedding.levelling import PASSAGES
from dragon_finetune.progress import as_time

_MANY_LONG = 0.05  # share of texts over the limit


@dataclass(frozen=True)
class Plan:
    """What an improvement will do, and about how long that takes.

    Attributes:
        texts: chunks of the corpus.
        tokens: of all of them.
        over_limit: how many the base can't read whole; they are embedded in pieces.
        limit: the base's, in tokens.
        tokens_per_second: at which a sample of the corpus was embedded.
        models: how many models the corpus is embedded with; one that only has words joined takes the base's vectors.
        pairs: that are trained on and held back; 0: none are trained on.
        dropped: pairs left out because they ask what the test asks.
        steps: of training; 0: none.
        seconds_per_step: measured on three, of the halves that judge too.
        judging_seconds: of looking at what the steps did.
        steps_cut: whether the budget allowed fewer steps than the settings ask for.
        remarks: what else is to be said.
    """

    texts: int
    tokens: int
    over_limit: int
    limit: int | None
    tokens_per_second: float
    models: int
    pairs: int = 0
    dropped: int = 0
    steps: int = 0
    seconds_per_step: float = 0.0
    judging_seconds: float = 0.0
    steps_cut: bool = False
    remarks: tuple[str, ...] = ()

    @property
    def many_long(self) -> bool:
        """Whether more than one chunk in twenty is longer than the base reads."""
        return self.over_limit > _MANY_LONG * self.texts

    @property
    def joining_seconds(self) -> float:
        """Of joining the words to the base, and to what is trained: its distances are fitted on some passages."""
        models = 2 if self.steps else 1
        return models * self.tokens * min(1, PASSAGES / self.texts) / self.tokens_per_second

    @property
    def embedding_seconds(self) -> float:
        """Of embedding the corpus with all models."""
        return self.models * self.tokens / self.tokens_per_second

    @property
    def training_seconds(self) -> float:
        """Of the steps, and of looking at what they did."""
        return self.steps * self.seconds_per_step + self.judging_seconds

    @property
    def seconds(self) -> float:
        """Of everything, about."""
        return self.joining_seconds + self.training_seconds + self.embedding_seconds

    def to_dict(self) -> dict[str, Any]:
        """Return JSON-safe values."""
        return {**asdict(self), "remarks": list(self.remarks), "seconds": self.seconds}

    @classmethod
    def of(cls, values: dict[str, Any]) -> "Plan":
        """Return the plan of `to_dict`."""
        kept = {name: value for name, value in values.items() if name != "seconds"}
        return cls(**{**kept, "remarks": tuple(kept["remarks"])})

    def __str__(self) -> str:
        lines = [
            f"{self.texts:,} chunks, {self.tokens:,} tokens; {self.over_limit:,} are longer than the base reads "
            f"({self.limit or 'no limit'}) and are embedded in pieces",
            f"1. join the corpus's words to the base's vectors: about {as_time(self.joining_seconds)}",
            self._training(),
            f"3. embed the corpus with {self.models} model{'s' if self.models > 1 else ''}: "
            f"about {as_time(self.embedding_seconds)}",
            *self.remarks,
            f"about {as_time(self.seconds)} in all, as a sample of it ran here",
        ]
        return "\n".join(lines)

    def _training(self) -> str:
        if not self.steps:
            return "2. no training"
        cut = ", cut to the budget" if self.steps_cut else ""
        return f"2. train on {self.pairs:,} pairs: {self.steps:,} steps{cut}, about {as_time(self.training_seconds)}"
