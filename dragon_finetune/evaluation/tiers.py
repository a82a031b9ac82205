"""The tiers that a mean rubric score decides."""

from dataclasses import dataclass

from dragon_finetune.errors import DataError


@dataclass(frozen=True)
class Tier:
    """What a mean rubric score means: its name and what to do."""

    name: str
    at_least: float
    advice: str


TIERS = (
    Tier("excellent", 3.5, "Ship it."),
    Tier("MVP", 3.0, "Good enough to ship; improve in use."),
    Tier("good", 2.5, "Tune the hyper-parameters."),
    Tier("minimal", 2.0, "Proceed: train on more and better pairs."),
    Tier("pivot", 1.0, "Pivot: look at the index, the chunks and the questions before training again."),
)


def tier(mean: float) -> Tier:
    """Return the tier of a mean rubric score (1 to 5).

    Raises:
        DataError: the score is outside 1 to 5.
    """
    if not 1 <= mean <= 5:
        raise DataError(f"a mean rubric score lies between 1 and 5, not {mean!r}.")
    return next(tier for tier in TIERS if mean >= tier.at_least)
