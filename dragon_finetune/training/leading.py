"""What the first of several processes reads and prepares, and what the others are told of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dragon_finetune.errors import DataError, ModelError
from dragon_finetune.training.datasets import Examples
from dragon_finetune.training.joined import Joined
from dragon_finetune.training.output import OutputFolder
from dragon_finetune.training.preparing import Prepared
from dragon_finetune.training.rows import Row

_TABLES = "examples"


@dataclass(frozen=True)
class Beginning:
    """What every process needs to know of a run.

    Attributes:
        work: the run's work folder, where the tables of the examples lie if there are several processes.
        checkpoint: the one to go on from; None: from the beginning.
        tokens_per_example: mean number of tokens of an example.
        rows: the distilled rows, which every process's teacher ranks for.
    """

    work: Path
    checkpoint: Path | None
    tokens_per_example: float
    rows: Sequence[Row]

    def examples(self) -> Examples:
        """Return what is trained on, mapped from the work folder.

        Raises:
            ModelError: this process does not see that folder.
        """
        for place in (self.work / _TABLES, self.checkpoint):
            if place is not None and not place.is_dir():
                raise ModelError(
                    f"{place} is not there for this process, though the first one has it. Put --output on a disk that "
                    "all machines of the run share."
                )
        return Examples.mapped(self.work / _TABLES, self.rows)


@dataclass(frozen=True)
class Lead:
    """What only the first process has: the output's place, all pairs, and what judges."""

    output: OutputFolder
    joined: Joined
    prepared: Prepared
    examples: Examples
    checkpoint: Path | None
    processes: int

    @classmethod
    def of(cls, output: OutputFolder, joined: Joined, prepared: Prepared, processes: int) -> "Lead":
        """Claim the work folder, and put there what the others are to read.

        Raises:
            DataError: there are fewer examples than processes.
            ModelError: the work folder belongs to another run.
        """
        checkpoint, examples = output.begin(), Examples.of(prepared.training)
        if len(examples) < processes:
            raise DataError(f"{len(examples)} examples are fewer than {processes} processes. Start fewer.")
        if processes > 1:
            examples.put_down(output.work / _TABLES)
            examples = Examples.mapped(output.work / _TABLES, examples.rows)
        return cls(output, joined, prepared, examples, checkpoint, processes)

    def beginning(self) -> Beginning:
        """Return what the others are told."""
        audit = self.prepared.audit.fields
        tokens = sum(field.mean_tokens * field.texts for field in audit.values()) / audit["query"].texts
        return Beginning(self.output.work, self.checkpoint, tokens, self.examples.rows)

    def left_out(self) -> dict[str, int]:
        """Return how many pairs were not trained on, by reason."""
        uneven = sum(len(table) % self.processes for table in self.examples.tables())
        why = f"in each epoch, others each time, that {self.processes} processes can't share evenly"
        return {**self.prepared.dropped, **({why: uneven} if uneven else {})}
