"""The report's charts, as SVG that takes its colours from the page."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dragon_finetune.evaluation.rubric import TIERS

if TYPE_CHECKING:
    from dragon_finetune.evaluation.comparison import Group

_WIDTH = 640
_LEFT = 170  # room for the names of rows


def _svg(height: float, title: str, parts: Sequence[str]) -> str:
    body = "".join(parts)
    return f'<svg viewBox="0 0 {_WIDTH} {height:g}" role="img" aria-label="{title}"><title>{title}</title>{body}</svg>'


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{text}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def _dot(x: float, y: float, kind: str) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" class="{kind}"/>'


def tier_scale(base: float, tuned: float) -> str:
    """Return the 1 to 5 scale with the tiers, and both means on it."""

    def x(score: float) -> float:
        return 20 + (score - 1) / 4 * (_WIDTH - 40)

    parts = []
    ends = [5.0, *(tier.at_least for tier in TIERS)]
    for number, (tier, end) in enumerate(zip(TIERS, ends, strict=False)):
        start = x(tier.at_least)
        parts.append(
            f'<rect x="{start:.1f}" y="40" width="{x(end) - start:.1f}" height="16" class="tier{len(TIERS) - number}"/>'
        )
        parts.append(_text((start + x(end)) / 2, 74, tier.name, "small", "middle"))
        parts.append(_text(start, 90, f"{tier.at_least:g}", "small faint", "middle"))
    for score, kind, y in ((base, "base", 14), (tuned, "tuned", 30)):
        parts.append(_dot(x(score), 48, kind))
        anchor = "end" if score > 4 else "start"
        parts.append(_text(x(score) + (-8 if score > 4 else 8), y, f"{kind} {score:.2f}", f"small {kind}-text", anchor))
        parts.append(_line(x(score), y - 6, x(score), 48, kind))
    return _svg(96, "mean scores on the scale of tiers", parts)


def intervals(groups: Mapping[str, "Group"]) -> str:
    """Return one row per group: its difference with the 95% interval, zero marked."""
    ends = [abs(value) for group in groups.values() for value in (group.test.low, group.test.high)]
    reach = max([0.5, *ends]) * 1.1

    def x(value: float) -> float:
        return _LEFT + (value + reach) / (2 * reach) * (_WIDTH - _LEFT - 60)

    bottom = 26 * len(groups)
    parts = [_line(x(0), 4, x(0), bottom + 4, "axis")]
    for row, (name, group) in enumerate(groups.items()):
        y = 18 + 26 * row
        kind = "tuned" if group.test.low > 0 else "base" if group.test.high < 0 else "unsure"
        parts.append(_text(0, y + 4, f"{_escape(name)} ({group.test.questions})", "small"))
        parts.append(_line(x(group.test.low), y, x(group.test.high), y, f"{kind} wide"))
        parts.append(_dot(x(group.test.difference), y, kind))
        parts.append(_text(_WIDTH, y + 4, f"{group.test.difference:+.2f}", "small", "end"))
    for value in (-reach / 1.1, 0, reach / 1.1):
        parts.append(_text(x(value), bottom + 20, f"{value:+.1f}" if value else "0", "small faint", "middle"))
    return _svg(bottom + 26, "difference by group with 95% intervals", parts)


def slopes(base: Sequence[float], tuned: Sequence[float]) -> str:
    """Return a line per question from its base score to its tuned one; thicker where several coincide."""
    counts: dict[tuple[float, float], int] = {}
    for pair in zip(base, tuned, strict=True):
        counts[pair] = counts.get(pair, 0) + 1

    def y(score: float) -> float:
        return 20 + (5 - score) / 4 * 200

    left, right = 120, _WIDTH - 120
    parts = [_text(left, 12, "base", "small base-text", "end"), _text(right, 12, "tuned", "small tuned-text")]
    for score in range(1, 6):
        parts.append(_text(left - 14, y(score) + 4, str(score), "small faint", "end"))
        parts.append(_text(right + 14, y(score) + 4, str(score), "small faint"))
    most = max(counts.values())
    for (before, after), count in sorted(counts.items(), key=lambda item: item[1]):
        kind = "tuned" if after > before else "base" if after < before else "unsure"
        width = 1 + 9 * count / most
        parts.append(
            f'<line x1="{left}" y1="{y(before):.1f}" x2="{right}" y2="{y(after):.1f}" class="{kind} slope" '
            f'stroke-width="{width:.1f}"><title>{count} questions from {before:g} to {after:g}</title></line>'
        )
    return _svg(232, "score of each question before and after", parts)


def two_histograms(base: npt.NDArray[np.float64], tuned: npt.NDArray[np.float64], marks: Sequence[float]) -> str:
    """Return the distances of both runs as two histograms over one axis, with the rubric's thresholds."""
    both = np.concatenate([base, tuned])
    low, high = min(0.0, float(both.min())), max(*marks, float(both.max())) * 1.02
    edges = np.linspace(low, high, 41)

    def x(value: float) -> float:
        return 10 + (value - low) / (high - low) * (_WIDTH - 20)

    parts = []
    counted = [np.histogram(values, edges)[0] / max(1, len(values)) for values in (base, tuned)]
    highest = max(float(shares.max()) for shares in counted)
    for row, (shares, kind) in enumerate(zip(counted, ("base", "tuned"), strict=True)):
        floor = 90 + 90 * row
        for share, start, end in zip(shares.tolist(), edges[:-1].tolist(), edges[1:].tolist(), strict=True):
            height = 76 * share / highest
            if height:
                parts.append(
                    f'<rect x="{x(start):.1f}" y="{floor - height:.1f}" width="{x(end) - x(start) - 1:.1f}" '
                    f'height="{height:.1f}" class="{kind}"/>'
                )
        parts.append(_text(12, floor - 70, kind, f"small {kind}-text"))
    for number, mark in enumerate(marks):
        parts.append(_line(x(mark), 8, x(mark), 180, "axis"))
        parts.append(_text(x(mark), 194 + 14 * number, f"{mark:g}", "small faint", "middle"))
    return _svg(214, "distances of the retrieved chunks", parts)


def bars(counts: Mapping[str, int]) -> str:
    """Return a horizontal bar per entry with its number."""
    most = max(counts.values(), default=0) or 1
    parts = []
    for row, (name, count) in enumerate(counts.items()):
        y = 4 + 20 * row
        width = (_WIDTH - _LEFT - 70) * count / most
        parts.append(_text(0, y + 12, _escape(name), "small"))
        parts.append(f'<rect x="{_LEFT}" y="{y}" width="{width:.1f}" height="14" class="tuned"/>')
        parts.append(_text(_LEFT + width + 6, y + 12, f"{count:,}", "small faint"))
    return _svg(8 + 20 * len(counts), "how many texts have how many tokens", parts)


def curve(points: Mapping[int, float], base: float | None, label: str) -> str:
    """Return one training curve by step; the base's value as a level line."""
    steps, values = list(points), list(points.values())
    levels = [*values, *([base] if base is not None else [])]
    low, high = min(levels), max(levels)
    room = (high - low) or 1.0

    def x(step: float) -> float:
        return 60 + (step - steps[0]) / ((steps[-1] - steps[0]) or 1) * (_WIDTH - 80)

    def y(value: float) -> float:
        return 150 - (value - low) / room * 120

    path = " ".join(f"{x(step):.1f},{y(value):.1f}" for step, value in points.items())
    parts = [f'<polyline points="{path}" class="tuned line"/>']
    parts += [_dot(x(step), y(value), "tuned") for step, value in points.items()] if len(points) < 40 else []
    if base is not None:
        parts.append(_line(60, y(base), _WIDTH - 20, y(base), "axis"))
        parts.append(_text(_WIDTH - 20, y(base) - 5, "base", "small faint", "end"))
    parts += [_text(54, y(value) + 4, f"{value:.3f}", "small faint", "end") for value in (low, high)]
    parts += [_text(x(step), 172, str(step), "small faint", "middle") for step in (steps[0], steps[-1])]
    parts.append(_text(60, 14, label, "small"))
    return _svg(180, label, parts)


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


def parallel(names: Sequence[str], rows: Sequence[tuple[Sequence[float], float | None]]) -> str:
    """Return parallel coordinates: an axis per name and one for the score, a line per row, the best one bold."""
    scored = [(values, score) for values, score in rows if score is not None]
    axes = [sorted({values[place] for values, _ in scored}) for place in range(len(names))]
    scores = [score for _, score in scored] or [0.0]
    low, high = min(scores), max(scores)

    def x(place: int) -> float:
        return 50 + place / len(names) * (_WIDTH - 110)

    def y(place: int, value: float) -> float:
        share = axes[place].index(value) / max(1, len(axes[place]) - 1)
        return 150 - 110 * share

    parts = []
    for values, score in sorted(scored, key=lambda row: row[1]):
        height = 150 - 110 * (score - low) / ((high - low) or 1)
        points = [f"{x(place):.1f},{y(place, value):.1f}" for place, value in enumerate(values)]
        kind = "tuned" if score == high else "unsure"
        parts.append(
            f'<polyline points="{" ".join([*points, f"{x(len(names)):.1f},{height:.1f}"])}" class="{kind} line"/>'
        )
    for place, name in enumerate(names):
        parts.append(_line(x(place), 36, x(place), 154, "axis"))
        parts.append(_text(x(place), 20, name, "small", "middle"))
        parts += [_text(x(place) + 6, y(place, value) + 4, f"{value:g}", "small faint") for value in axes[place]]
    parts.append(_line(x(len(names)), 36, x(len(names)), 154, "axis"))
    parts.append(_text(x(len(names)), 20, "nDCG@10", "small", "middle"))
    parts += [_text(x(len(names)) + 6, h, f"{v:.3f}", "small faint") for h, v in ((154, low), (44, high))]
    return _svg(170, "settings and scores of all trials", parts)
