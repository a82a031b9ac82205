"""What doctor found of a store, collection by collection."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Finding:
    """One thing wrong. `kind` is of a collection one of: empty, textless, dimension, un-normalised, prompts, stale,
    lexical (no words in them), lexicon (another's words), mixed, misplaced, truncated, cut, missing, surplus,
    refused or unmeasured (int8 beside fp32); of a store: no collections, unindexed."""

    kind: str
    message: str


@dataclass
class CollectionHealth:
    """What doctor found of one collection; `fresh` when it found nothing wrong.

    Attributes:
        name: the collection's.
        records: how many there are.
        sampled: how many were embedded again.
        same: how many of these agree.
        space: l2 (squared), cosine or ip.
        findings: what is wrong.
        notes: what is not wrong, and good to know.
    """

    name: str
    records: int
    sampled: int = 0
    same: int = 0
    space: str = ""
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def fresh(self) -> bool:
        """Whether the vectors are this encoder's, all there and usable."""
        return not self.findings

    def __str__(self) -> str:
        verdict = "fresh" if self.fresh else ", ".join(finding.kind for finding in self.findings)
        lines = [f"{self.name}: {verdict} ({self.records:,} records; {self.same} of {self.sampled} sampled agree)"]
        said = [*(finding.message for finding in self.findings), *self.notes]
        return "\n".join(lines + [f"  {message}" for message in said])


@dataclass
class Health:
    """What doctor found of a store; `findings` are those of no one collection."""

    model: str
    store: str
    collections: list[CollectionHealth]
    findings: list[Finding] = field(default_factory=list)

    @property
    def fresh(self) -> bool:
        """Whether every collection is, and nothing is wrong with the store."""
        return bool(self.collections) and not self.findings and all(collection.fresh for collection in self.collections)

    def troubles(self) -> Iterator[str]:
        """Yield each thing that is wrong, with where and its kind."""
        for name, findings in [(self.store, self.findings), *((one.name, one.findings) for one in self.collections)]:
            yield from (f"{name}: {finding.kind}. {finding.message}" for finding in findings)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON-safe values."""
        return {**asdict(self), "fresh": self.fresh}

    def __str__(self) -> str:
        return "\n".join([*map(str, self.collections), *(f"{self.store}: {each.message}" for each in self.findings)])
