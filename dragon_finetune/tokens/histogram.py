"""How many texts have how many tokens, as bars in the terminal or in an image."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dragon_finetune.errors import SettingsError

_BINS = 8
_BAR = 40


@dataclass(frozen=True)
class Bin:
    """Number of texts with `low` to `high` tokens, both included; `over` tells that these exceed the limit."""

    low: int
    high: int
    texts: int
    over: bool


def histogram(lengths: Mapping[int, int], limit: int | None) -> list[Bin]:
    """Return bins for texts counted by length. With a limit, one bin ends exactly there, and the last is open.

    Args:
        lengths: number of texts of each length in tokens.
        limit: the model's limit in tokens; bins are an eighth of it wide, to twice the limit.
    """
    longest = max(lengths, default=0)
    top = limit or max(longest, 1)
    edges = sorted({round(top * step / _BINS) for step in range(2 * _BINS + 1)})
    edges = [edge for edge in edges if edge < longest] + [longest]
    bins = []
    for low, high in zip([-1, *edges[1:-1]] if len(edges) > 1 else [-1], edges[1:] or edges, strict=True):
        texts = sum(count for length, count in lengths.items() if low < length <= high)
        bins.append(Bin(low + 1, high, texts, limit is not None and low >= limit))
    return bins


def draw(bins: Sequence[Bin]) -> list[str]:
    """Return one line per bin: its range, a bar, its texts, and a mark where it exceeds the limit."""
    most = max((each.texts for each in bins), default=0) or 1
    width = max((len(f"{each.high:,}") for each in bins), default=1)
    return [
        f"  {each.low:>{width},}-{each.high:<{width},} {'█' * -(-each.texts * _BAR // most):<{_BAR}} {each.texts:,}"
        + (" over the limit" if each.over and each.texts else "")
        for each in bins
    ]


def save_image(fields: Mapping[str, Sequence[Bin]], path: Path, *, title: str) -> None:
    """Write one bar chart per field into a PNG, SVG or PDF, by the file's suffix; bars over the limit are red.

    Raises:
        SettingsError: matplotlib is not installed, or it does not know the suffix.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise SettingsError('An image needs matplotlib: pip install "dragon-finetune[plot]".') from None
    figure = Figure(figsize=(8, 3 * len(fields)), layout="constrained")
    figure.suptitle(title)
    for row, (name, bins) in enumerate(fields.items(), start=1):
        axes = figure.add_subplot(len(fields), 1, row)
        labels = [f"{each.low}-{each.high}" for each in bins]
        axes.bar(
            labels, [each.texts for each in bins], color=["firebrick" if each.over else "steelblue" for each in bins]
        )
        axes.set(xlabel=f"tokens per {name}", ylabel="texts")
        axes.tick_params(axis="x", rotation=60)
    try:
        figure.savefig(path)
    except ValueError as error:
        raise SettingsError(f"{path}: {error}. Choose a name that ends in .png, .svg or .pdf.") from None
