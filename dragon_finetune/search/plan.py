"""What a search is about to try, and how long it would take."""

import itertools
from dataclasses import dataclass

from dragon_finetune.search.budget import Budget


@dataclass(frozen=True)
class SearchPlan:
    """What is about to be tried.

    Attributes:
        points: settings of each trial, in order; of "factors" the first factor's only, with how many follow.
        later: trials that depend on the outcome of the first ones.
        seconds: estimated time of each point, alone.
        budget: what may be spent.
    """

    points: list[dict[str, float]]
    later: int
    seconds: list[float]
    budget: Budget

    @property
    def within(self) -> int:
        """How many of the points fit into the budget, if none is stopped early."""
        if self.budget.runs is not None:
            return min(self.budget.runs, len(self.points))
        if self.budget.seconds is None:
            return len(self.points)
        return sum(1 for total in itertools.accumulate(self.seconds) if total <= self.budget.seconds)

    def __str__(self) -> str:
        rows = [
            f"  {number:>3}  "
            + "  ".join(f"{name} {value:g}" for name, value in point.items())
            + f"  {seconds / 60:.1f} min"
            for number, (point, seconds) in enumerate(zip(self.points, self.seconds, strict=True), start=1)
        ]
        more = f" and {self.later} that depend on their outcome" if self.later else ""
        total = sum(self.seconds) / 3600
        return "\n".join(
            [
                f"{len(self.points)} trials{more}, {total:.2f} hours in all if none is stopped early; "
                f"{self.within} fit into the budget:",
                *rows,
            ]
        )
