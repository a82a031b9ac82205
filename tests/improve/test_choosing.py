"""Which model is chosen, and what is said of it."""

import pytest

from dragon_finetune.improve.choosing import choose
from dragon_finetune.improve.judging import JUDGED, Gain, Judgement
from dragon_finetune.training.result import TrainingResult

BETTER, UNSURE, WORSE = (Gain(0.4, 0.4 + d, d - 0.02, d + 0.02) for d in (0.05, 0.01, -0.05))


def judged(joined, tuned=None, training=None):
    gains = {"joined": joined, **({"tuned": tuned} if tuned else {})}
    return Judgement(JUDGED, 90, gains, training, {}, 0.03)


def trained(kept="tuned", base=0.4, best=0.5):
    verdict = {"difference": 0.1, "low": 0.05, "high": 0.15, "joined": {"base": base, "best": best}}
    return TrainingResult(
        path="models/tuned",
        kept=kept,
        final_loss=0.1,
        seconds=1,
        steps=1,
        examples_per_second=1,
        tokens_per_second=None,
        validation={},
        verdict=verdict,
        pairs={"training": 80, "validation": 20},
        fingerprint="f",
        log_history=[],
    )


@pytest.mark.parametrize(
    ("judgement", "training", "name", "shown"),
    [
        (judged(BETTER), None, "joined", True),
        (judged(UNSURE), None, "joined", False),
        (judged(WORSE), None, "base", False),
        (judged(BETTER, BETTER, BETTER), trained(), "tuned", True),
        (judged(BETTER, BETTER, UNSURE), trained(), "tuned", True),
        (judged(BETTER, BETTER, WORSE), trained(), "joined", True),
        (judged(UNSURE, WORSE, UNSURE), trained(), "base", False),
        (judged(BETTER, BETTER, BETTER), trained("base"), "joined", True),
        (judged(BETTER, BETTER, UNSURE), trained(base=0.5, best=0.4), "joined", True),
        (None, trained(), "tuned", False),
        (None, trained("base"), "joined", False),
        (None, None, "joined", False),
    ],
)
def test_what_is_held_back_chooses_and_the_test_only_takes_back(judgement, training, name, shown):
    choice = choose(judgement, training)
    assert (choice.name, choice.shown) == (name, shown)


def test_every_difference_stands_beside_its_interval():
    for judgement in (judged(BETTER), judged(UNSURE), judged(WORSE)):
        assert "[" in choose(judgement, None).why
    assert "would show one of 0.030" in choose(judged(UNSURE), None).why
