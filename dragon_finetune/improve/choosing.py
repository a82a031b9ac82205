"""Which of the models to use, and why."""

from dataclasses import dataclass

from dragon_finetune.improve.judging import JUDGED, Judgement
from dragon_finetune.training.result import TrainingResult


@dataclass(frozen=True)
class Choice:
    """The model to use: "base", "joined" or "tuned"; why; and whether that is shown by the test's questions."""

    name: str
    why: str
    shown: bool


def choose(judgement: Judgement | None, training: TrainingResult | None) -> Choice:
    """Return the model to use.

    The questions held back from training say whether the tuned model is worth having; the test's questions only take a
    choice back, where they show harm, so that its gain on them is nearly as honest as if nothing had been chosen.

    Args:
        judgement: what the test's questions say; None: there are none.
        training: what was trained; None: nothing.
    """
    wanted = "tuned" if training and _worth_having(training) else "joined"
    if judgement is None:
        return Choice(wanted, _untested(wanted, training), False)
    if wanted == "tuned" and judgement.training and judgement.training.word == "worse":
        wanted = "joined"
    gain = judgement.gains[wanted]
    if gain.word == "worse":
        return Choice("base", f"with the words it finds less ({judgement.by} {gain}): keep the base", False)
    sentence = {
        "better": "more is found than by the base" if judgement.by == JUDGED else "the host scores it above the base",
        "can't tell": f"no difference to the base is shown; {judgement.questions} questions like these would show one "
        f"of {judgement.detectable:.3f}",
    }[gain.word]
    return Choice(wanted, f"{sentence} ({judgement.by} {gain})", gain.word == "better")


def _worth_having(training: TrainingResult) -> bool:
    if training.kept == "base":
        return False
    joined = training.verdict.get("joined") or {}
    return not joined or joined["best"] >= joined["base"]


def _untested(wanted: str, training: TrainingResult | None) -> str:
    if wanted == "tuned" and training:
        verdict = training.verdict
        told = (
            f"{verdict['difference']:+.3f} [{verdict['low']:+.3f}, {verdict['high']:+.3f}]" if verdict else "unjudged"
        )
        return f"the pairs held back from training say so ({told}); no question of a test was asked"
    return (
        "nothing here can judge it: on four judged collections words in the vector found more than the base alone "
        "(docs/lexical.md), on your text nobody has asked. Write 50 questions with the ids of their answers, and give "
        "them as --questions"
    )
