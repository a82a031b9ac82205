"""What an export is worth: its own engine's vectors beside ours."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dragon_finetune.embedding.engine import Vectors
from dragon_finetune.embedding.unit import unit
from dragon_finetune.export.source import Source
from dragon_finetune.export.texts import ProofTexts

LEAST = {"q8_0": 0.995}
"""Least cosine that is asked of a dtype; of any other `USUAL_LEAST`."""
USUAL_LEAST = 0.999
_SHOWN = 5
# Ours are as long as their dimension; an engine that cuts or joins is told by that.
_LENGTHS_DIFFER = -1.0


@dataclass(frozen=True)
class Proof:
    """How near an engine's vectors come to those of the model.

    Attributes:
        engine: what made them, with its version.
        texts: how many, and `origin`: where they are from.
        least: the least cosine to the model's own vector, and `mean`: the mean.
        asked: the least that was asked for.
        worst: the texts furthest off, (text, cosine), the furthest first.
    """

    engine: str
    texts: int
    origin: str
    least: float
    mean: float
    asked: float
    worst: list[tuple[str, float]]

    @property
    def holds(self) -> bool:
        """Whether every text is near enough."""
        return self.least >= self.asked

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON-safe values."""
        return {**asdict(self), "holds": self.holds}

    def __str__(self) -> str:
        said = (
            f"{self.texts} texts ({self.origin}) embedded by {self.engine}: least cosine {self.least:.6f}, mean "
            f"{self.mean:.6f}, asked for {self.asked:g}"
        )
        return "\n".join(
            [said, *([] if self.holds else [f"  {cosine:.5f}  {text!r:.90}" for text, cosine in self.worst])]
        )


def prove(
    source: Source, texts: ProofTexts, embed: Callable[[Sequence[str]], Vectors], engine: str, dtype: str
) -> Proof:
    """Return how near an engine comes.

    Args:
        source: the model; its prompts are put before the texts here, as whoever uses the export will have to.
        texts: the documents.
        embed: the engine on the written export: texts to vectors, (texts, dimension).
        engine: its name.
        dtype: of the weights; decides what is asked.
    """
    wanted = source.embedder.encode(texts.documents, role="document")
    prompt = source.folder.prompts.document
    found = embed([prompt + text for text in texts.documents])
    cosines = _cosines(wanted, found)
    order = np.argsort(cosines)[:_SHOWN]
    return Proof(
        engine=engine,
        texts=len(cosines),
        origin=texts.origin,
        least=float(cosines.min()),
        mean=float(cosines.mean()),
        asked=LEAST.get(dtype, USUAL_LEAST),
        worst=[(texts.documents[row], float(cosines[row])) for row in order],
    )


def _cosines(wanted: Vectors, found: Vectors) -> Vectors:
    if found.shape != wanted.shape:
        return np.full(len(wanted), _LENGTHS_DIFFER, dtype=np.float32)
    cosines: Vectors = (wanted * unit(found)).sum(axis=1)
    return np.nan_to_num(cosines, nan=_LENGTHS_DIFFER)
