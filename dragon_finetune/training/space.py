"""What a search is about to try: the space, the budget, the plan, and the gate before it."""

import itertools
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dragon_finetune.errors import DragonFinetuneError, SettingsError
from dragon_finetune.evaluation.rubric import TIERS, evaluate_results
from dragon_finetune.training.config import TrainingConfig

Strategy = Literal["grid", "factors", "adaptive"]
STRATEGIES: tuple[Strategy, ...] = ("grid", "factors", "adaptive")
PIVOT = next(tier.at_least for tier in TIERS if tier.name == "minimal")
PARAMETERS = ("learning_rate", "epochs", "warmup")


@dataclass(frozen=True)
class Space:
    """The values that are tried; the defaults are the codex's plan.

    Raises:
        SettingsError: nothing to try, or a value that training would refuse.
    """

    learning_rate: tuple[float, ...] = (1e-5, 2e-5, 5e-5)
    epochs: tuple[float, ...] = (2, 4, 6)
    warmup: tuple[float, ...] = (50, 100, 200)

    def __post_init__(self) -> None:
        for name in PARAMETERS:
            values = getattr(self, name)
            if not values:
                raise SettingsError(f"the search has no values for {name}. Give one at least.")
            for value in values:
                TrainingConfig(base_model="-", output_dir=Path("-"), **{name: value})


@dataclass(frozen=True)
class Budget:
    """How much may be spent: hours, or runs; None: no bound."""

    seconds: float | None = None
    runs: int | None = None

    @classmethod
    def parse(cls, text: str) -> "Budget":
        """Return the budget of "10h", "90m", "30s" or "8 runs". Raises SettingsError for anything else."""
        words = text.strip().lower().replace(" ", "")
        units = {"runs": None, "run": None, "h": 3600, "m": 60, "s": 1}
        for unit, seconds in units.items():
            if words.endswith(unit):
                try:
                    number = float(words.removesuffix(unit))
                except ValueError:
                    break
                if number <= 0:
                    break
                return cls(runs=int(number)) if seconds is None else cls(seconds=number * seconds)
        raise SettingsError(f"the budget is {text!r}; write 10h, 90m or '8 runs'.")


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


def require_promise(first_run: Path | str | None, gate: float) -> None:
    """Raise unless a first run shows promise: the gate before hours are spent.

    Args:
        first_run: the answers file of the first fine-tuned run.
        gate: the mean rubric score from which a search is worth while.

    Raises:
        DragonFinetuneError: no first run, or its score is below the gate; below 2.0 it says pivot.
    """
    if first_run is None:
        raise DragonFinetuneError(
            "no first run: give --first-run with the answers of a first fine-tuned run, or --force to search all the "
            "same."
        )
    mean = evaluate_results(first_run).mean
    if mean < PIVOT:
        raise DragonFinetuneError(
            f"pivot: the first run scores {mean:.2f}, below {PIVOT:.1f}. No hyper-parameter mends that: look at the "
            "index (`dragon-finetune doctor`), the pairs and the chunks. --force searches all the same."
        )
    if mean < gate:
        raise DragonFinetuneError(
            f"the first run scores {mean:.2f}, below the gate of {gate:.2f}: train on more and better pairs first. "
            "--gate sets another, --force searches all the same."
        )


def points_of(
    space: Space, strategy: Strategy, seed: int, best: Mapping[str, float] | None = None
) -> list[dict[str, float]]:
    """Return the settings to try.

    "grid" gives all combinations. "adaptive" gives those of rate and warm-up in a random order, each with the most
    epochs: fewer are a matter of stopping. "factors" gives one factor's values at a time, the others as in `best`, or
    in the middle of their values at first.
    """
    middle = {name: getattr(space, name)[(len(getattr(space, name)) - 1) // 2] for name in PARAMETERS}
    if strategy == "factors":
        done = dict(best or {})
        factor = PARAMETERS[len(done)] if len(done) < len(PARAMETERS) else None
        return [{**middle, **done, factor: value} for value in getattr(space, factor)] if factor else []
    epochs = (max(space.epochs),) if strategy == "adaptive" else space.epochs
    points = [
        dict(zip(PARAMETERS, values, strict=True))
        for values in itertools.product(space.learning_rate, epochs, space.warmup)
    ]
    if strategy == "adaptive":
        random.Random(seed).shuffle(points)
    return points
