"""Does a collection hold this encoder's vectors? Found out by embedding some stored documents again."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dragon_finetune.embedding.bulk import ChunkRef, read_chunks
from dragon_finetune.embedding.chroma import Record, existing_client, read_records
from dragon_finetune.embedding.embedder import FineTunedEmbedder
from dragon_finetune.embedding.engines import Vectors
from dragon_finetune.errors import DataError, DragonFinetuneError
from dragon_finetune.tokens.folder import CARD, Role

# The same text by the same weights: bf16 and other kernels stay above 0.999, another prompt or model far below.
_SAME = 0.995
_UNIT = 1e-2
_MOST = 0.9  # share of agreeing samples from which a model or prompt is taken for the maker
_NEIGHBOURS = 128  # rows after a record in its file whose text a misplaced vector may belong to
SAMPLE = 64


@dataclass(frozen=True)
class Finding:
    """One thing wrong with a collection. `kind` is one of: empty, dimension, un-normalised, prompts, stale, mixed,
    misplaced, missing."""

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


def examine(
    embedder: FineTunedEmbedder,
    store: str | Path,
    *,
    collections: Sequence[str] = (),
    chunks: Sequence[Path | str] = (),
    others: Iterable[str] = (),
    sample: int = SAMPLE,
) -> Health:
    """Compare stored vectors with what `embedder` makes of the stored documents.

    Args:
        embedder: the encoder that will query.
        store: a Chroma folder, or a server's address.
        collections: names; default: all.
        chunks: the chunk files that were indexed: then missing records are found too, and whose vector a wrong one is.
        others: models to try on stale vectors, beside the base that a tuned folder records.
        sample: records to compare per collection, spread evenly from the first to the last.

    Raises:
        DataError: no store there, or no collection of that name; names those that exist.
    """
    client = existing_client(store)
    present = sorted(collection.name for collection in client.list_collections())
    for name in collections:
        if name not in present:
            raise DataError(f"{store} has no collection {name!r}; it has {', '.join(present) or 'none'}.")
    suspects = [*_recorded_base(embedder), *others]
    opened = [client.get_collection(name, embedding_function=None) for name in collections or present]
    health = [_examine_one(collection, embedder, suspects, list(chunks), sample) for collection in opened]
    if chunks:
        _find_missing(opened, health, chunks)
    return Health(embedder.model_path, str(store), health)


def _recorded_base(embedder: FineTunedEmbedder) -> list[str]:
    from dragon_finetune.records import read_json

    card = embedder.folder.path / CARD
    return [str(read_json(card)["base_model"])] if card.is_file() else []


def _examine_one(
    collection: Any, embedder: FineTunedEmbedder, suspects: Sequence[str], chunks: list[Path | str], sample: int
) -> CollectionHealth:
    total = collection.count()
    health = CollectionHealth(collection.name, total)
    if not total:
        health.findings.append(Finding("empty", "It has no records: run the host's indexing script."))
        return health
    offsets = sorted({round(place) for place in np.linspace(0, total - 1, min(sample, total))})
    records = [record for record in read_records(collection, offsets) if record.text.strip()]
    health.sampled = len(records)
    width = len(records[0].vector)
    if width != embedder.dimension:
        health.findings.append(
            Finding(
                "dimension",
                f"Its vectors have {width} dimensions, {embedder.model_path} makes {embedder.dimension}: "
                "embed it again.",
            )
        )
        return health
    stored = np.stack([record.vector for record in records])
    norms = np.linalg.norm(stored, axis=1)
    if (np.abs(norms - 1) > _UNIT).any():
        health.findings.append(
            Finding("un-normalised", f"Vector lengths go from {norms.min():.3f} to {norms.max():.3f}, not 1.")
        )
    unit = stored / np.maximum(norms, 1e-12)[:, None]
    agree = _agreement(embedder, records, unit, "document")
    health.same = int(agree.sum())
    if not agree.all():
        health.findings.append(_explain(embedder, suspects, chunks, records, unit, agree))
    return health


def _agreement(embedder: FineTunedEmbedder, records: Sequence[Record], unit: Vectors, role: Role | None) -> Any:
    return _cosines(embedder, records, unit, role) >= _SAME


def _cosines(embedder: FineTunedEmbedder, records: Sequence[Record], unit: Vectors, role: Role | None) -> Any:
    again = _patient(embedder).encode([record.text for record in records], role=role)
    return (again * unit).sum(axis=1)


def _patient(embedder: FineTunedEmbedder) -> FineTunedEmbedder:
    """Return the embedder, one that splits where it would refuse: an index may hold what we would not have made."""
    if embedder.on_overflow != "error":
        return embedder
    return FineTunedEmbedder(embedder.model_path, **{**embedder.options, "on_overflow": "split"})


def _explain(
    embedder: FineTunedEmbedder,
    suspects: Sequence[str],
    chunks: list[Path | str],
    records: Sequence[Record],
    unit: Vectors,
    agree: Any,
) -> Finding:
    for role, prompt in (("query", "the query prompt"), (None, "no prompt")):
        if _agreement(embedder, records, unit, role).mean() > max(_MOST, agree.mean()):  # type: ignore[arg-type]
            return Finding("prompts", f"Its documents were embedded with {prompt}: embed it again.")
    for suspect in suspects:
        if _made_by(suspect, embedder, records, unit):
            return Finding("stale", f"Its vectors are those of {suspect}, not {embedder.model_path}: embed it again.")
    wrong = np.flatnonzero(~agree)
    if agree.any():
        first, last = records[int(wrong[0])].id, records[int(wrong[-1])].id
        return Finding(
            "mixed",
            f"{len(wrong)} of {len(records)} sampled vectors are not this encoder's, from record {first} to {last}; "
            "the others are. An indexing run changed its model half way: embed it again, whole.",
        )
    owner = _owner_of_misplaced([embedder.model_path, *suspects], embedder, chunks, records, unit)
    if owner:
        return owner
    median = float(np.median(_cosines(embedder, records, unit, "document")))
    return Finding(
        "stale",
        f"Its vectors are not of {embedder.model_path} (median cosine to its own {median:.2f}) nor of "
        f"{', '.join(suspects) or 'any model known here (name some with --other)'}: embed it again.",
    )


def _made_by(suspect: str, embedder: FineTunedEmbedder, records: Sequence[Record], unit: Vectors) -> bool:
    try:
        other = FineTunedEmbedder(suspect, **{**embedder.options, "prompts": None, "on_overflow": "split"})
        return other.dimension == unit.shape[1] and bool(_agreement(other, records, unit, "document").mean() > _MOST)
    except DragonFinetuneError:
        return False


def _owner_of_misplaced(
    models: Sequence[str],
    embedder: FineTunedEmbedder,
    chunks: list[Path | str],
    records: Sequence[Record],
    unit: Vectors,
) -> Finding | None:
    """Find vectors that are some other text's: of the store, or of a later row of the same chunk file."""
    places = {chunk.text: row for row, chunk in enumerate(read_chunks(chunks))} if chunks else {}
    texts = list(places)
    for model in models:
        other = FineTunedEmbedder(model, **{**embedder.options, "prompts": None, "on_overflow": "split"})
        found = []
        for record, vector in zip(records[:4], unit[:4], strict=False):
            row = places.get(record.text)
            rivals = [each.text for each in records] if row is None else texts[row : row + _NEIGHBOURS]
            scores = other.encode(rivals, role="document") @ vector
            best = int(scores.argmax())
            if scores[best] >= _SAME and rivals[best] != record.text:
                found.append((record.id, rivals[best]))
        if found:
            identity, text = found[0]
            return Finding(
                "misplaced",
                f"Its vectors belong to other texts: {identity} holds the vector of {text[:50]!r}. One vector was kept "
                "per batch, for the first text of the batch: a fault of the host's embedder. Scores of such an index "
                "are those of random vectors. Embed it again.",
            )
    return None


def _find_missing(opened: Sequence[Any], health: Sequence[CollectionHealth], chunks: Sequence[Path | str]) -> None:
    stored = Counter(record.text for collection in opened for record in read_records(collection))
    missing: list[ChunkRef] = []
    for chunk in read_chunks(chunks):
        if stored[chunk.text]:
            stored[chunk.text] -= 1
        else:
            missing.append(chunk)
    if missing:
        total = sum(1 for _ in read_chunks(chunks))
        message = (
            f"{len(missing):,} of {total:,} chunks are in no collection; the first is {missing[0].where}. "
            "Embed and index again, and look for an error that was passed over."
        )
        for one in health:
            one.findings.append(Finding("missing", message))
