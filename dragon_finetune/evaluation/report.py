"""The report: a comparison as one self-contained page, or as markdown."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dragon_finetune.evaluation import charts
from dragon_finetune.evaluation.comparison import Comparison
from dragon_finetune.evaluation.distances import Calibration, all_distances
from dragon_finetune.evaluation.rubric import HOST_THRESHOLDS, Evaluation
from dragon_finetune.evaluation.statistics import PairedTest
from dragon_finetune.records import write_text

if TYPE_CHECKING:
    from markupsafe import Markup

_SHOWN = 10
_CHUNKS_SHOWN = 5
_CHARS_SHOWN = 600


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
    from markupsafe import Markup

    attachments = attachments or Attachments()
    environment = Environment(
        loader=PackageLoader("dragon_finetune.evaluation"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    ids = list(base.scores)
    changes = {each: tuned.scores[each].score - base.scores[each].score for each in ids}
    ordered = sorted((each for each in ids if each in base.questions), key=lambda each: changes[each])
    distances = all_distances(base), all_distances(tuned)
    page = environment.get_template("report.html").render(
        title="Base and tuned model compared",
        c=comparison,
        verdict=comparison.verdict,
        scale=Markup(charts.tier_scale(comparison.base, comparison.tuned)) if not comparison.leaks else "",
        rows=_rows(comparison),
        groups=[(key, Markup(charts.intervals(groups))) for key, groups in comparison.groups.items()],
        slope_chart=Markup(
            charts.slopes([base.scores[each].score for each in ids], [tuned.scores[each].score for each in ids])
        ),
        improved=[_question(each, base, tuned) for each in ordered[::-1][:_SHOWN] if changes[each] > 0],
        harmed=[_question(each, base, tuned) for each in ordered[:_SHOWN] if changes[each] < 0],
        distance_chart=Markup(charts.two_histograms(*distances, marks=(HOST_THRESHOLDS.top_far, HOST_THRESHOLDS.far)))
        if all(map(len, distances))
        else "",
        taken=(base.coverage_only - base.mean, tuned.coverage_only - tuned.mean),
        far=HOST_THRESHOLDS.far,
        top_far=HOST_THRESHOLDS.top_far,
        calibration=attachments.calibration,
        leaks=comparison.leaks,
        token_chart=Markup(charts.bars(attachments.tokens)) if attachments.tokens else "",
        curves=_curves(attachments.training),
        extra=[],
    )
    write_text(path, page)


def markdown(comparison: Comparison) -> str:
    """Return the comparison as markdown, for a pull request."""
    lines = [comparison.verdict.sentence, "", "| | base | tuned | difference | 95% interval | p |"]
    lines.append("|---|---:|---:|---:|---:|---:|")
    lines += [
        f"| {row['name']} | {row['base']} | {row['tuned']} | {row['difference']} | {row['interval']} | {row['p']} |"
        for row in _rows(comparison)
    ]
    for key, groups in comparison.groups.items():
        lines += [
            "",
            f"| {key} | base | tuned | difference | 95% interval | questions |",
            "|---|---:|---:|---:|---:|---:|",
        ]
        lines += [
            f"| {name} | {group.base:.2f} | {group.tuned:.2f} | {group.test.difference:+.2f} | "
            f"{group.test.low:+.2f} to {group.test.high:+.2f} | {group.test.questions} |"
            for name, group in groups.items()
        ]
    if comparison.leaks is not None:
        lines += ["", str(comparison.leaks).split("\n", 1)[0]]
    return "\n".join(lines) + "\n"


def _rows(comparison: Comparison) -> list[dict[str, str]]:
    def row(name: str, base: float | None, tuned: float | None, test: PairedTest, digits: int) -> dict[str, str]:
        return {
            "name": name,
            "base": "" if base is None else f"{base:.{digits}f}",
            "tuned": "" if tuned is None else f"{tuned:.{digits}f}",
            "difference": f"{test.difference:+.{digits}f}",
            "interval": f"{test.low:+.{digits}f} to {test.high:+.{digits}f}",
            "p": f"{test.p:.4f}",
        }

    rows = [
        row("score", comparison.base, comparison.tuned, comparison.score, 2),
        row("of that, topic coverage", None, None, comparison.coverage, 2),
        row("share of topics found", None, None, comparison.topics, 3),
    ]
    rows += [row(name, base, tuned, test, 4) for name, (base, tuned, test) in comparison.metrics.items()]
    if comparison.clean and comparison.clean_means:
        rows.append(row("score of what did not leak", *comparison.clean_means, comparison.clean, 2))
    return rows


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
    return {"text": _marked(str(chunk["text"]), topics), "distance": chunk["distance"], "source": source}


def _marked(text: str, topics: Sequence[str]) -> "Markup":
    """Return the text around its first topic, escaped, with every topic marked."""
    from markupsafe import Markup, escape

    pattern = re.compile("|".join(re.escape(topic) for topic in sorted(topics, key=len, reverse=True)), re.IGNORECASE)
    first = pattern.search(text)
    start = max(0, (first.start() if first else 0) - _CHARS_SHOWN // 3)
    shown = text[start : start + _CHARS_SHOWN]
    html, last = Markup("… " if start else ""), 0
    for match in pattern.finditer(shown):
        html += escape(shown[last : match.start()]) + Markup("<mark>{}</mark>").format(match[0])
        last = match.end()
    return html + escape(shown[last:]) + (" …" if start + _CHARS_SHOWN < len(text) else "")


def _curves(card: Mapping[str, Any]) -> list["Markup"]:
    from markupsafe import Markup

    result = card.get("result", {})
    drawn = []
    if result.get("curve"):
        points = {int(step): value for step, value in result["curve"].items()}
        base = result.get("validation", {}).get("base")
        drawn.append(Markup(charts.curve(points, base, "held-back nDCG@10 by step")))
    losses = {entry["step"]: entry["loss"] for entry in result.get("log_history", ()) if "loss" in entry}
    if losses:
        drawn.append(Markup(charts.curve(losses, None, "training loss by step")))
    return drawn
