"""The values that a search tries, and in which order."""

import itertools
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dragon_finetune.errors import SettingsError
from dragon_finetune.training.config import TrainingConfig

Strategy = Literal["grid", "factors", "adaptive"]
STRATEGIES: tuple[Strategy, ...] = ("grid", "factors", "adaptive")
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
