"""What would help more than what was done."""

from dragon_finetune.improve.choosing import Choice
from dragon_finetune.improve.judging import JUDGED, Judgement
from dragon_finetune.improve.plan import Plan
from dragon_finetune.training.result import TrainingResult

_FEW_QUESTIONS = 50
_FEW_PAIRS = 300


def advice(plan: Plan, judgement: Judgement | None, training: TrainingResult | None, choice: Choice) -> list[str]:
    """Return what would help more, most telling first."""
    said = []
    if plan.many_long:
        said.append(
            f"{plan.over_limit:,} of {plan.texts:,} chunks are longer than the {plan.limit} tokens that the base "
            "reads; their pieces are averaged. A base that reads more, or shorter chunks (`dragon-finetune chunk`), "
            "would tell them apart better."
        )
    if judgement and judgement.by == JUDGED and judgement.gains["joined"].word != "better":
        said.append(
            "The words add nothing that these questions show: what exact words find, the base finds too. What it "
            "misses is said otherwise than it is asked; another base, or training on real questions, could help."
        )
    if judgement and judgement.by != JUDGED:
        said.append(
            "The host's score counts expected topics and distances, not right passages. Questions with the ids of the "
            "chunks that answer them would say whether more is found (docs/evaluation.md)."
        )
    if judgement and judgement.questions < _FEW_QUESTIONS:
        said.append(
            f"{judgement.questions} questions show a difference of {judgement.detectable:.3f} or more; with four times "
            "as many, half of that would be seen."
        )
    if training and training.unproven:
        said.append(
            f"Training was not believed: {training.unproven} The tuned weights lie in models/tuned/unproven. More "
            "pairs that people asked, not more steps, would decide."
        )
    if training is None and not plan.steps and choice.name != "base":
        said.append(
            f"Nothing was trained. {_FEW_PAIRS} pairs of a real question and its passage (--pairs), or a language "
            "model that asks (--llm), can teach what words can't find (docs/training.md)."
        )
    return said
