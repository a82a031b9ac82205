"""Does a collection hold this encoder's vectors? Found out by embedding some stored documents again."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dragon_finetune.embedding.embedder import FineTunedEmbedder
from dragon_finetune.index.agreement import agreement, agrees_when_cut
from dragon_finetune.index.chroma import (
    closed_after,
    collection_names,
    count,
    existing_client,
    read_texts,
    require_collection,
    stored_collection,
)
from dragon_finetune.index.chunk_files import ChunkFiles
from dragon_finetune.index.coverage import Contents, find_uncovered
from dragon_finetune.index.diagnosis import diagnose, explain_width
from dragon_finetune.index.health import CollectionHealth, Finding, Health
from dragon_finetune.index.precisions import precisions
from dragon_finetune.index.sample import Sample, joined, take_sample
from dragon_finetune.index.space import explain_space, space_of
from dragon_finetune.index.suspects import Suspects, find_suspects
from dragon_finetune.index.words_apart import explain_words, note_unknown

_UNIT = 1e-2
SAMPLE = 64


@dataclass
class _Look:
    """What is seen of one collection before it is asked why."""

    health: CollectionHealth
    sample: Sample | None = None
    agree: Any = None

    @property
    def wrong(self) -> Sample | None:
        """The sampled records that do not agree; None if all do, or none could be compared."""
        return None if self.sample is None or self.agree.all() else self.sample.part(~self.agree)


def examine(
    embedder: FineTunedEmbedder,
    store: str | Path,
    *,
    collections: Sequence[str] = (),
    chunks: Sequence[Path | str] = (),
    others: Iterable[str] = (),
    sample: int = SAMPLE,
    text_field: str | None = None,
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
        text_field: the field of the chunks that holds the text (`read_chunks`).

    Raises:
        DataError: no store there, or no collection of that name; names those that exist.
    """
    with closed_after(existing_client(store)) as client:
        present = collection_names(client, store)
        for name in collections:
            require_collection(name, present, store)
        if not present:
            message = (
                "no collections. An indexing run failed or never ran: run the host's again, and look for its error."
            )
            return Health(embedder.model_path, str(store), [], [Finding("no collections", message)])
        suspects = find_suspects(embedder, others)
        opened = [stored_collection(client, name) for name in collections or present]
        files = ChunkFiles(chunks, text_field) if chunks else None
        contents = [Contents(list(read_texts(collection)), files) for collection in opened] if files else []
        looks = [
            _look(collection, embedder, suspects, sample, contents[number].whole if files else {})
            for number, collection in enumerate(opened)
        ]
        _explain(looks, embedder.without_words, suspects, files, contents)
        health = Health(embedder.model_path, str(store), [look.health for look in looks])
        if files:
            find_uncovered(contents, health, files)
        return health


def _look(
    collection: Any, embedder: FineTunedEmbedder, suspects: Suspects, size: int, whole: Mapping[str, str]
) -> _Look:
    health = CollectionHealth(collection.name, count(collection), space=space_of(collection))
    sample = take_sample(collection, size) if health.records else None
    if sample is None:
        empty = Finding("empty", "It has no records: run the host's indexing script.")
        textless = Finding("textless", "Its records have no texts, so nothing can be embedded again to compare.")
        health.findings.append(textless if health.records else empty)
        return _Look(health)
    health.sampled = len(sample)
    if sample.width != embedder.dimension:
        words = explain_words(embedder, sample)
        finding, health.same = (words, 0) if words else explain_width(embedder, suspects, sample)
        health.findings.append(finding)
    _measure(health, sample)
    if sample.width != embedder.dimension:
        return _Look(health)
    if unknown := note_unknown(embedder, sample):
        health.notes.append(unknown)
    seen = precisions(embedder, sample, collection)
    agree = seen.agree
    health.findings += seen.findings
    health.notes += seen.notes
    if not agree.all() and whole:
        full = sample.of_texts([whole.get(text, text) for text in sample.texts])
        agree |= agreement(embedder, full, "document")
    health.same = int(agree.sum())
    if embedder.joiner and not agree.all():
        return _look_at_dense(health, embedder, sample, agree)
    _note_cuts(health, embedder, sample)
    return _Look(health, sample, agree)


def _look_at_dense(health: CollectionHealth, embedder: FineTunedEmbedder, sample: Sample, agree: Any) -> _Look:
    """Return what is seen of joined vectors that do not agree: their words are why, or their dense parts tell."""
    if words := explain_words(embedder, sample, agree):
        health.findings.append(words)
        return _Look(health)
    dense = embedder.without_words
    part = sample.dense(dense.dimension)
    return _Look(health, part, agreement(dense, part, "document"))


def _measure(health: CollectionHealth, sample: Sample) -> None:
    """Note lengths that are not 1, where distances depend on them as a finding, and what the host's thresholds mean."""
    lengths = sample.lengths
    unit = not (np.abs(lengths - 1) > _UNIT).any()
    if not unit:
        message = f"Vector lengths go from {lengths.min():.3f} to {lengths.max():.3f}, not 1."
        if health.space == "cosine" or health.findings:
            health.notes.append(message)
        else:
            health.findings.append(Finding("un-normalised", message))
    health.notes.append(explain_space(health.space, unit))


def _note_cuts(health: CollectionHealth, embedder: FineTunedEmbedder, sample: Sample) -> None:
    """Say how many vectors are of texts cut to the limit: a finding only for who asked that nothing be cut."""
    cut = agrees_when_cut(embedder, sample)
    if not cut:
        return
    message = (
        f"{cut} of {health.sampled} sampled texts are over the limit of {embedder.folder.limit} tokens, and their "
        "vectors are of what is left when they are cut to it (on_overflow: truncate): nothing finds their ends."
    )
    if embedder.options.on_overflow == "split":
        health.findings.append(Finding("truncated", f"{message} Embed it again to have them split."))
    else:
        health.notes.append(message)


def _explain(
    looks: Sequence[_Look],
    embedder: FineTunedEmbedder,
    suspects: Suspects,
    files: ChunkFiles | None,
    contents: Sequence[Contents],
) -> None:
    """Add to the health of each collection why sampled vectors of it do not agree."""
    wrong = [look.wrong for look in looks]
    everywhere = [each for each in wrong if each is not None]
    for number, look in enumerate(looks):
        if look.sample is not None and wrong[number] is not None:
            stored = contents[number].texts if files else look.sample.texts
            finding = diagnose(embedder, suspects, look.sample, look.agree, joined(everywhere), files, stored)
            look.health.findings.append(finding)
