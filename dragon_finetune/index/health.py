"""What doctor found of a store, collection by collection."""

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Finding:
    """One thing wrong with a collection. `kind` is one of: empty, dimension, un-normalised, prompts, stale, mixed,
    misplaced, missing, surplus."""

    kind: str
    message: str


@dataclass
class CollectionHealth:
    """What doctor found of one collection; `fresh` when it found nothing wrong."""

    name: str
    records: int
    sampled: int = 0
    same: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def fresh(self) -> bool:
        """Whether the vectors are this encoder's, all there and usable."""
        return not self.findings

    def __str__(self) -> str:
        verdict = "fresh" if self.fresh else ", ".join(finding.kind for finding in self.findings)
        lines = [f"{self.name}: {verdict} ({self.records:,} records; {self.same} of {self.sampled} sampled agree)"]
        return "\n".join(lines + [f"  {finding.message}" for finding in self.findings])


@dataclass
class Health:
    """What doctor found of a store."""

    model: str
    store: str
    collections: list[CollectionHealth]

    @property
    def fresh(self) -> bool:
        """Whether every collection is."""
        return all(collection.fresh for collection in self.collections)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON-safe values."""
        return {**asdict(self), "fresh": self.fresh}

    def __str__(self) -> str:
        return "\n".join(map(str, self.collections)) or f"{self.store}: no collections"
