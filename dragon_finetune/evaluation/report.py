"""The report: a comparison as one self-contained page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dragon_finetune.evaluation import charts, curves
from dragon_finetune.evaluation.calibration import Calibration
from dragon_finetune.evaluation.comparison import Comparison
from dragon_finetune.evaluation.distances import all_distances
from dragon_finetune.evaluation.markdown import rows_of
from dragon_finetune.evaluation.marking import marked
from dragon_finetune.evaluation.rubric import HOST_THRESHOLDS
from dragon_finetune.evaluation.scores import Evaluation
from dragon_finetune.files import write_text

if TYPE_CHECKING:
    from markupsafe import Markup

_SHOWN = 10
_CHUNKS_SHOWN = 5


@dataclass(frozen=True)
class Attachments:
    """What the report shows beside the comparison, where it is known.

    Attributes:
        calibration: of the distances.
        tokens: how many chunks have how many tokens, by range.
        training: the tuned model's card (`dragon_finetune.json`), whose curves are drawn.
    """

    calibration: Calibration | None = None
    tokens: Mapping[str, int] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)


def write_html(
    path: Path | str,
    comparison: Comparison,
    base: Evaluation,
    tuned: Evaluation,
    attachments: Attachments | None = None,
) -> None:
    """Write the comparison as one page without any outside address: styles and charts are inside.

    Args:
        path: of the page.
        comparison: of `base` and `tuned`.
        base, tuned: the evaluations, with their retrieved chunks.
        attachments: what else to show.
    """
    from jinja2 import Environment, PackageLoader

    attachments = attachments or Attachments()
    environment = Environment(
        loader=PackageLoader("dragon_finetune.evaluation"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.get_template("report.html").render(
        title="Base and tuned model compared",
        c=comparison,
        verdict=comparison.verdict,
        rows=rows_of(comparison),
        taken=(base.coverage_only - base.mean, tuned.coverage_only - tuned.mean),
        far=HOST_THRESHOLDS.far,
        top_far=HOST_THRESHOLDS.top_far,
        calibration=attachments.calibration,
        leaks=comparison.leaks,
        curves=_curves(attachments.training),
        extra=[],
        **_charts(comparison, base, tuned, attachments),
        **_changed(base, tuned),
    )
    write_text(path, page)


def _charts(comparison: Comparison, base: Evaluation, tuned: Evaluation, attachments: Attachments) -> dict[str, Any]:
    """Return the charts by their name in the page; "" where there is nothing to draw."""
    from markupsafe import Markup

    scores = ([score.score for score in run.scores.values()] for run in (base, _in_order_of(base, tuned)))
    distances = all_distances(base), all_distances(tuned)
    marks = (HOST_THRESHOLDS.top_far, HOST_THRESHOLDS.far)
    by_rubric = comparison.era.name == "a"
    far = by_rubric and all(map(len, distances))
    return {
        "scale": Markup(charts.tier_scale(comparison.base, comparison.tuned))
        if by_rubric and not comparison.leaks
        else "",
        "groups": [(key, Markup(charts.intervals(groups))) for key, groups in comparison.groups.items()],
        "slope_chart": Markup(charts.slopes(*scores, lowest=1 if by_rubric else 0)),
        "distance_chart": Markup(charts.two_histograms(*distances, marks=marks)) if far else "",
        "token_chart": Markup(charts.bars(attachments.tokens)) if attachments.tokens else "",
    }


def _in_order_of(base: Evaluation, tuned: Evaluation) -> Evaluation:
    return replace(tuned, scores={each: tuned.scores[each] for each in base.scores})


def _changed(base: Evaluation, tuned: Evaluation) -> dict[str, Any]:
    """Return the questions whose score rose or fell the most."""
    changes = {each: tuned.scores[each].score - score.score for each, score in base.scores.items()}
    ordered = sorted((each for each in base.scores if each in base.questions), key=lambda each: changes[each])
    return {
        "improved": [_question(each, base, tuned) for each in ordered[::-1][:_SHOWN] if changes[each] > 0],
        "harmed": [_question(each, base, tuned) for each in ordered[:_SHOWN] if changes[each] < 0],
    }


def _question(identity: Any, base: Evaluation, tuned: Evaluation) -> dict[str, Any]:
    question = base.questions[identity]
    topics = [str(topic) for topic in question["expected_topics"]]
    sides = [
        {
            "name": f"{name}: {len(run.scores[identity].found)} of {len(topics)} topics",
            "chunks": [_chunk(chunk, topics) for chunk in run.questions[identity]["retrieved_chunks"][:_CHUNKS_SHOWN]],
        }
        for name, run in (("base", base), ("tuned", tuned))
    ]
    return {
        "question": question["question"],
        "difficulty": question["difficulty"],
        "category": question["category"],
        "topics": ", ".join(topics),
        "before": base.scores[identity].score,
        "after": tuned.scores[identity].score,
        "sides": sides,
    }


def _chunk(chunk: Mapping[str, Any], topics: Sequence[str]) -> dict[str, Any]:
    source = chunk.get("source_file") or chunk.get("source") or ""
    return {"text": marked(str(chunk["text"]), topics), "distance": chunk.get("distance"), "source": source}


def _curves(card: Mapping[str, Any]) -> list["Markup"]:
    from markupsafe import Markup

    result = card.get("result", {})
    drawn = []
    if result.get("curve"):
        points = {int(step): value for step, value in result["curve"].items()}
        base = result.get("validation", {}).get("base")
        drawn.append(Markup(curves.curve(points, base, "held-back nDCG@10 by step")))
    losses = {entry["step"]: entry["loss"] for entry in result.get("log_history", ()) if "loss" in entry}
    if losses:
        drawn.append(Markup(curves.curve(losses, None, "training loss by step")))
    return drawn
