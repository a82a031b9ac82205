"""The gate before hours are spent: a first run must show promise."""

from pathlib import Path

from dragon_finetune.errors import NoPromiseError
from dragon_finetune.evaluation.scores import evaluate_results
from dragon_finetune.evaluation.tiers import TIERS

PIVOT = next(tier.at_least for tier in TIERS if tier.name == "minimal")


def require_promise(first_run: Path | str | None, gate: float) -> None:
    """Raise unless a first run shows promise: the gate before hours are spent.

    Args:
        first_run: the answers file of the first fine-tuned run.
        gate: the mean rubric score from which a search is worth while.

    Raises:
        DataError: the answers can't be read.
        NoPromiseError: no first run, or its score is below the gate; below 2.0 it says pivot.
    """
    if first_run is None:
        raise NoPromiseError(
            "no first run: give --first-run with the answers of a first fine-tuned run, or --force to search all the "
            "same."
        )
    mean = evaluate_results(first_run).mean
    if mean < PIVOT:
        raise NoPromiseError(
            f"pivot: the first run scores {mean:.2f}, below {PIVOT:.1f}. No hyper-parameter mends that: look at the "
            "index (`dragon-finetune doctor`), the pairs and the chunks. --force searches all the same."
        )
    if mean < gate:
        raise NoPromiseError(
            f"the first run scores {mean:.2f}, below the gate of {gate:.2f}: train on more and better pairs first. "
            "--gate sets another, --force searches all the same."
        )
