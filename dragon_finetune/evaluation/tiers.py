"""The tiers that a mean rubric score decides."""

from dataclasses import dataclass

from dragon_finetune.errors import DataError


@dataclass(frozen=True)
class Tier:
    """What a mean rubric score means: its name and what to do."""

    name: str
    at_least: float
    advice: str

    @property
    def words(self) -> str:
        """The name, and how it stands to the owner's two marks, which disagree: his plan's and his script's."""
        plan, script = f"the plan's MVP ({PLAN_MVP})", f"the script's pass mark ({PASS_MARK})"
        if self.at_least >= PASS_MARK:
            return f"{self.name}, past {plan} and {script}"
        if self.at_least >= PLAN_MVP:
            return f"{self.name} by the plan ({PLAN_MVP}), below {script}"
        return f"{self.name}, below {plan} and {script}"


PLAN_MVP = 3.0
"""What the owner's plan calls MVP (HOST_CONTRACT 11)."""
PASS_MARK = 3.5
"""Below this his script says that MVP is missed, and exits with 1 (HOST_CONTRACT 7 and 11)."""
TIERS = (
    Tier("excellent", PASS_MARK, "Ship it."),
    Tier("MVP", PLAN_MVP, "Good enough to ship; improve in use."),
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
