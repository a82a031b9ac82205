"""What each source of pairs gave, and what was dropped and why."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from dragon_finetune.pair import Pair


@dataclass(frozen=True)
class GateReport:
    """What each source gave.

    Attributes:
        made, kept: source -> number of pairs.
        dropped: reason -> number.
        samples: reason -> some of the dropped queries.
    """

    made: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    samples: dict[str, list[str]] = field(default_factory=dict)

    def with_kept(self, pairs: Sequence[Pair]) -> "GateReport":
        """Return the report with the numbers of pairs that were taken in the end."""
        return replace(self, kept=Counter(str(pair.metadata["source"]) for pair in pairs))

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON-safe values."""
        return {
            "made": dict(self.made),
            "kept": dict(self.kept),
            "dropped": dict(self.dropped),
            "samples": self.samples,
        }

    def __str__(self) -> str:
        lines = [f"{'source':<12} {'made':>8} {'kept':>8}"]
        lines += [f"{name:<12} {count:>8,} {self.kept[name]:>8,}" for name, count in self.made.items()]
        lines.append(f"{'all':<12} {sum(self.made.values()):>8,} {sum(self.kept.values()):>8,}")
        lines += [
            f"dropped {count:,}: {reason}, such as {self.samples[reason][0]!r}"
            for reason, count in self.dropped.items()
        ]
        return "\n".join(lines)
