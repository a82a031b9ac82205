"""Some records of a collection: their texts, and the directions and lengths of their vectors."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dragon_finetune.embedding.embedder import FineTunedEmbedder
from dragon_finetune.embedding.engine import Vectors
from dragon_finetune.index.chroma import count, read_records
from dragon_finetune.lexical.joining import dense_of
from dragon_finetune.model_folder import Role


@dataclass(frozen=True)
class Sample:
    """Records that are embedded again, each text once per encoder and role.

    Attributes:
        ids: the records' ids.
        texts: what was embedded, as far as the store says.
        unit: the stored vectors, each made one long.
        lengths: how long they were.
    """

    ids: Sequence[str]
    texts: Sequence[str]
    unit: Vectors
    lengths: Vectors
    _again: dict[tuple[FineTunedEmbedder, Role | None], Vectors] = field(default_factory=dict, repr=False)
    _dense: "dict[int, Sample]" = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def width(self) -> int:
        """Numbers in a vector."""
        return int(self.unit.shape[1])

    def encoded(self, embedder: FineTunedEmbedder, role: Role | None) -> Vectors:
        """Return what `embedder` makes of the texts; of one over its limit by splitting where it would refuse."""
        key = (embedder, role)
        if key not in self._again:
            # An index may hold what we would not have made.
            split = embedder if embedder.options.on_overflow == "split" else embedder.like(on_overflow="split")
            self._again[key] = split.encode(self.texts, role=role)
        return self._again[key]

    def dense(self, dimension: int) -> "Sample":
        """Return the same records with the directions of the first `dimension` numbers of their vectors."""
        if dimension not in self._dense:
            self._dense[dimension] = Sample(self.ids, self.texts, dense_of(self.unit, dimension), self.lengths)
        return self._dense[dimension]

    def part(self, chosen: Any) -> "Sample":
        """Return the records that a mask or places choose."""
        places = np.arange(len(self))[chosen]
        return Sample(
            [self.ids[place] for place in places],
            [self.texts[place] for place in places],
            self.unit[places],
            self.lengths[places],
            {key: vectors[places] for key, vectors in self._again.items()},
        )

    def of_texts(self, texts: Sequence[str]) -> "Sample":
        """Return the same records with other texts."""
        return Sample(self.ids, texts, self.unit, self.lengths)


def take_sample(collection: Any, size: int) -> Sample | None:
    """Return at most `size` records with a text, spread evenly from the first to the last; None if none has one."""
    total = count(collection)
    offsets = sorted({round(place) for place in np.linspace(0, total - 1, min(size, total))})
    records = [record for record in read_records(collection, offsets) if record.text.strip()]
    if not records:
        return None
    stored = np.stack([record.vector for record in records])
    lengths = np.linalg.norm(stored, axis=1)
    unit = stored / np.maximum(lengths, 1e-12)[:, None]
    return Sample([record.id for record in records], [record.text for record in records], unit, lengths)


def joined(samples: Sequence[Sample]) -> Sample:
    """Return the records of several samples of one width as one."""
    return Sample(
        [identity for sample in samples for identity in sample.ids],
        [text for sample in samples for text in sample.texts],
        np.concatenate([sample.unit for sample in samples]),
        np.concatenate([sample.lengths for sample in samples]),
    )
