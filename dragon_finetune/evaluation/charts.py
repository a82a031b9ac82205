"""The comparison's charts, as SVG that takes its colours from the page."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dragon_finetune.evaluation.svg import LEFT, WIDTH, dot, line, svg, write
from dragon_finetune.evaluation.tiers import TIERS

if TYPE_CHECKING:
    from dragon_finetune.evaluation.comparison import Group


def tier_scale(base: float, tuned: float) -> str:
    """Return the 1 to 5 scale with the tiers, and both means on it."""

    def x(score: float) -> float:
        return 20 + (score - 1) / 4 * (WIDTH - 40)

    parts = []
    ends = [5.0, *(tier.at_least for tier in TIERS)]
    for number, (tier, end) in enumerate(zip(TIERS, ends, strict=False)):
        start = x(tier.at_least)
        parts.append(
            f'<rect x="{start:.1f}" y="40" width="{x(end) - start:.1f}" height="16" class="tier{len(TIERS) - number}"/>'
        )
        parts.append(write((start + x(end)) / 2, 74, tier.name, "small", "middle"))
        parts.append(write(start, 90, f"{tier.at_least:g}", "small faint", "middle"))
    for score, kind, y in ((base, "base", 14), (tuned, "tuned", 30)):
        parts.append(dot(x(score), 48, kind))
        anchor = "end" if score > 4 else "start"
        parts.append(write(x(score) + (-8 if score > 4 else 8), y, f"{kind} {score:.2f}", f"small {kind}-text", anchor))
        parts.append(line(x(score), y - 6, x(score), 48, kind))
    return svg(96, "mean scores on the scale of tiers", parts)


def intervals(groups: Mapping[str, "Group"]) -> str:
    """Return one row per group: its difference with the 95% interval, zero marked."""
    ends = [abs(value) for group in groups.values() for value in (group.test.low, group.test.high)]
    reach = max([0.5, *ends]) * 1.1

    def x(value: float) -> float:
        return LEFT + (value + reach) / (2 * reach) * (WIDTH - LEFT - 60)

    bottom = 26 * len(groups)
    parts = [line(x(0), 4, x(0), bottom + 4, "axis")]
    for row, (name, group) in enumerate(groups.items()):
        y = 18 + 26 * row
        kind = "tuned" if group.test.low > 0 else "base" if group.test.high < 0 else "unsure"
        parts.append(write(0, y + 4, f"{name} ({group.test.questions})", "small"))
        parts.append(line(x(group.test.low), y, x(group.test.high), y, f"{kind} wide"))
        parts.append(dot(x(group.test.difference), y, kind))
        parts.append(write(WIDTH, y + 4, f"{group.test.difference:+.2f}", "small", "end"))
    for value in (-reach / 1.1, 0, reach / 1.1):
        parts.append(write(x(value), bottom + 20, f"{value:+.1f}" if value else "0", "small faint", "middle"))
    return svg(bottom + 26, "difference by group with 95% intervals", parts)


def slopes(base: Sequence[float], tuned: Sequence[float], *, lowest: int = 1) -> str:
    """Return a line per question from its base score to its tuned one (`lowest` to 5), thicker for several."""
    counts: dict[tuple[float, float], int] = {}
    for pair in zip(base, tuned, strict=True):
        counts[pair] = counts.get(pair, 0) + 1

    def y(score: float) -> float:
        return 20 + (5 - score) / (5 - lowest) * 200

    left, right = 120, WIDTH - 120
    parts = [write(left, 12, "base", "small base-text", "end"), write(right, 12, "tuned", "small tuned-text")]
    for score in range(lowest, 6):
        parts.append(write(left - 14, y(score) + 4, str(score), "small faint", "end"))
        parts.append(write(right + 14, y(score) + 4, str(score), "small faint"))
    most = max(counts.values())
    for (before, after), count in sorted(counts.items(), key=lambda item: item[1]):
        kind = "tuned" if after > before else "base" if after < before else "unsure"
        width = 1 + 9 * count / most
        parts.append(
            f'<line x1="{left}" y1="{y(before):.1f}" x2="{right}" y2="{y(after):.1f}" class="{kind} slope" '
            f'stroke-width="{width:.1f}"><title>{count} questions from {before:g} to {after:g}</title></line>'
        )
    return svg(232, "score of each question before and after", parts)


def two_histograms(base: npt.NDArray[np.float64], tuned: npt.NDArray[np.float64], marks: Sequence[float]) -> str:
    """Return the distances of both runs as two histograms over one axis, with the rubric's thresholds."""
    both = np.concatenate([base, tuned])
    low, high = min(0.0, float(both.min())), max(*marks, float(both.max())) * 1.02
    edges = np.linspace(low, high, 41)

    def x(value: float) -> float:
        return 10 + (value - low) / (high - low) * (WIDTH - 20)

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
        parts.append(write(12, floor - 70, kind, f"small {kind}-text"))
    for number, mark in enumerate(marks):
        parts.append(line(x(mark), 8, x(mark), 180, "axis"))
        parts.append(write(x(mark), 194 + 14 * number, f"{mark:g}", "small faint", "middle"))
    return svg(214, "distances of the retrieved chunks", parts)


def bars(counts: Mapping[str, int]) -> str:
    """Return a horizontal bar per entry with its number."""
    most = max(counts.values(), default=0) or 1
    parts = []
    for row, (name, count) in enumerate(counts.items()):
        y = 4 + 20 * row
        width = (WIDTH - LEFT - 70) * count / most
        parts.append(write(0, y + 12, name, "small"))
        parts.append(f'<rect x="{LEFT}" y="{y}" width="{width:.1f}" height="14" class="tuned"/>')
        parts.append(write(LEFT + width + 6, y + 12, f"{count:,}", "small faint"))
    return svg(8 + 20 * len(counts), "how many texts have how many tokens", parts)
