"""Does a collection hold this encoder's vectors? Found out by embedding some stored documents again."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dragon_finetune.embedding.embedder import FineTunedEmbedder
from dragon_finetune.errors import DataError
from dragon_finetune.index.agreement import agreement
from dragon_finetune.index.chroma import existing_client, read_records
from dragon_finetune.index.coverage import find_missing, find_surplus
from dragon_finetune.index.diagnosis import diagnose
from dragon_finetune.index.health import CollectionHealth, Finding, Health
from dragon_finetune.index.suspects import Suspects, find_suspects

_UNIT = 1e-2
SAMPLE = 64


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
        chunks: the chunk files that were indexed: then missing and surplus records are found too, and whose vector a
            wrong one is.
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
    suspects = find_suspects(embedder, others)
    opened = [client.get_collection(name, embedding_function=None) for name in collections or present]
    health = [_examine_one(collection, embedder, suspects, list(chunks), sample) for collection in opened]
    if chunks:
        find_missing(opened, health, chunks)
        find_surplus(opened, health, chunks)
    return Health(embedder.model_path, str(store), health)


def _examine_one(
    collection: Any, embedder: FineTunedEmbedder, suspects: Suspects, chunks: list[Path | str], sample: int
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
    agree = agreement(embedder, records, unit, "document")
    health.same = int(agree.sum())
    if not agree.all():
        health.findings.append(diagnose(embedder, suspects, chunks, records, unit, agree))
    return health
