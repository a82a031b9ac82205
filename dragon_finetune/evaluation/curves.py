"""Charts of training and of a search: curves, and trials side by side."""

from collections.abc import Mapping, Sequence

from dragon_finetune.evaluation.svg import WIDTH, dot, line, svg, write


def curve(points: Mapping[int, float], base: float | None, label: str) -> str:
    """Return one training curve by step; the base's value as a level line."""
    steps, values = list(points), list(points.values())
    levels = [*values, *([base] if base is not None else [])]
    low, high = min(levels), max(levels)
    room = (high - low) or 1.0

    def x(step: float) -> float:
        return 60 + (step - steps[0]) / ((steps[-1] - steps[0]) or 1) * (WIDTH - 80)

    def y(value: float) -> float:
        return 150 - (value - low) / room * 120

    path = " ".join(f"{x(step):.1f},{y(value):.1f}" for step, value in points.items())
    parts = [f'<polyline points="{path}" class="tuned line"/>']
    parts += [dot(x(step), y(value), "tuned") for step, value in points.items()] if len(points) < 40 else []
    if base is not None:
        parts.append(line(60, y(base), WIDTH - 20, y(base), "axis"))
        parts.append(write(WIDTH - 20, y(base) - 5, "base", "small faint", "end"))
    parts += [write(54, y(value) + 4, f"{value:.3f}", "small faint", "end") for value in (low, high)]
    parts += [write(x(step), 172, str(step), "small faint", "middle") for step in (steps[0], steps[-1])]
    parts.append(write(60, 14, label, "small"))
    return svg(180, label, parts)


def parallel(names: Sequence[str], rows: Sequence[tuple[Sequence[float], float | None]]) -> str:
    """Return parallel coordinates: an axis per name and one for the score, a line per row, the best one bold."""
    scored = [(values, score) for values, score in rows if score is not None]
    axes = [sorted({values[place] for values, _ in scored}) for place in range(len(names))]
    scores = [score for _, score in scored] or [0.0]
    low, high = min(scores), max(scores)

    def x(place: int) -> float:
        return 50 + place / len(names) * (WIDTH - 110)

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
        parts.append(line(x(place), 36, x(place), 154, "axis"))
        parts.append(write(x(place), 20, name, "small", "middle"))
        parts += [write(x(place) + 6, y(place, value) + 4, f"{value:g}", "small faint") for value in axes[place]]
    parts.append(line(x(len(names)), 36, x(len(names)), 154, "axis"))
    parts.append(write(x(len(names)), 20, "nDCG@10", "small", "middle"))
    parts += [write(x(len(names)) + 6, h, f"{v:.3f}", "small faint") for h, v in ((154, low), (44, high))]
    return svg(170, "settings and scores of all trials", parts)
