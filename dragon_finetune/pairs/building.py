"""Everything that `pairs` does: chunk files and indexes in, a pairs file out."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dragon_finetune.chunks import no_chunks, read_chunks
from dragon_finetune.errors import SettingsError
from dragon_finetune.evaluation.questions import load_questions
from dragon_finetune.files import write_jsonl
from dragon_finetune.pair import Pair
from dragon_finetune.pairs.corpus import read_corpus
from dragon_finetune.pairs.gate_report import GateReport
from dragon_finetune.pairs.llm import LlmSettings
from dragon_finetune.pairs.negatives import NegativesReport, add_hard_negatives
from dragon_finetune.pairs.recalled import Recall
from dragon_finetune.pairs.searching import APPROXIMATE_FROM, search_over
from dragon_finetune.pairs.style import QueryStyle
from dragon_finetune.pairs.synthesis import PairSettings, synthesize


@dataclass(frozen=True)
class PairsRequest:
    """What to build pairs from, and how.

    Attributes:
        files: chunk files.
        indexes: folder of the codex's indexes.
        avoid: questions file whose questions must not leak; the lengths of its questions are copied.
        model: the base model: chunks over its limit are cut, rewordings of questions are found by it, and hard
            negatives. None: chunks stay as they are, and none of that is done.
        per_chunk, seed, sources: as `PairSettings`.
        negatives: hard negatives per pair; needs the model.
        llm: also ask a language model.
        text_field: the field of the chunks that holds the text (`read_chunks`).
        vectors: folder that keeps the vectors of a corpus that is searched approximately; default: none keeps them.
        approximate_from: passages from which it is (`pairs.searching`).
    """

    files: Sequence[Path]
    indexes: Path | None = None
    avoid: Path | None = None
    model: str | None = None
    per_chunk: int = 4
    seed: int = 42
    sources: tuple[str, ...] = ()
    negatives: int = 0
    llm: LlmSettings | None = None
    text_field: str | None = None
    vectors: Path | None = None
    approximate_from: int = APPROXIMATE_FROM


@dataclass(frozen=True)
class PairsResult:
    """The pairs, and how they came about; `recalls` of an approximate search by what it was asked for."""

    pairs: list[Pair]
    passages: int
    gate: GateReport
    negatives: NegativesReport | None
    recalls: Mapping[str, Recall] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as JSON-safe values."""
        mined = self.negatives.to_dict() if self.negatives else None
        counted = {"pairs": len(self.pairs), "passages": self.passages, "gate": self.gate.to_dict(), "negatives": mined}
        recalls = {name: recall.to_dict() for name, recall in self.recalls.items()}
        return {**counted, "recalls": recalls} if recalls else counted

    def __str__(self) -> str:
        parts = [f"{len(self.pairs):,} pairs from {self.passages:,} passages", str(self.gate)]
        parts += [f"{name}: {recall}" for name, recall in self.recalls.items()]
        return "\n".join([*parts, str(self.negatives)] if self.negatives else parts)

    def preview(self, count: int) -> str:
        """Return some pairs for a person to judge, the sources taking turns."""
        queues: dict[str, list[Pair]] = {}
        for pair in self.pairs:
            queues.setdefault(str(pair.metadata["source"]), []).append(pair)
        turns = [pair for row in itertools.zip_longest(*queues.values()) for pair in row if pair is not None]
        return "\n".join(
            f"[{pair.metadata['source']}] {pair.query}\n    -> {' '.join(pair.positive.split())[:160]}"
            for pair in turns[:count]
        )


def build_pairs(request: PairsRequest) -> PairsResult:
    """Return the pairs of a request.

    Raises:
        DataError: a bad file, or nothing could be built.
        SettingsError: an unknown source, or negatives without a model.
        MissingExtraError: so many passages are searched approximately, and what does that is not installed.
        DragonFinetuneError: the language model's server gives no answer.
    """
    if request.negatives and request.model is None:
        raise SettingsError("hard negatives need --model: the base that is to be trained.")
    settings = PairSettings(
        per_chunk=request.per_chunk,
        seed=request.seed,
        sources=request.sources,
        style=QueryStyle.of_file(request.avoid) if request.avoid else QueryStyle(),
        avoid=load_questions(request.avoid) if request.avoid else (),
        llm=request.llm,
    )
    embedder = None
    if request.model is not None:
        from dragon_finetune.embedding.embedder import FineTunedEmbedder

        embedder = FineTunedEmbedder(request.model, on_overflow="split", dense_only=True)
    corpus = read_corpus(_records(request), request.indexes)
    if not corpus.passages:
        raise no_chunks(request.files)
    search = None
    if embedder is not None:
        search = search_over(corpus, embedder, request.vectors, request.approximate_from)
    made = synthesize(corpus, settings, search=search)
    pairs, mined = made.pairs, None
    if request.negatives and search is not None:
        pairs, mined = add_hard_negatives(pairs, search, per_pair=request.negatives)
    return PairsResult(pairs, len(corpus.passages), made.report, mined, search.recalls if search else {})


def write_pairs(path: Path, pairs: Sequence[Pair]) -> None:
    """Write a pairs file, whole or not at all."""
    rows = (
        {"query": pair.query, "positive_text": pair.positive, "negative_texts": list(pair.negatives), **pair.metadata}
        for pair in pairs
    )
    write_jsonl(path, rows)


def _records(request: PairsRequest) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (id, record) of every chunk; those over the model's limit are cut into pieces that fit."""
    read = read_chunks(request.files, text_field=request.text_field)
    chunks = ((chunk.id, {**chunk.metadata, "text": chunk.text}) for chunk in read)
    if request.model is None:
        yield from chunks
        return
    from dragon_finetune.tokens.chunking import TokenChunker

    chunker = TokenChunker(request.model)
    for identity, record in chunks:
        pieces = chunker.chunk(record["text"])
        for number, piece in enumerate(pieces):
            name = identity if len(pieces) == 1 else f"{identity}#{number}"
            yield name, {**record, "text": piece.text, "chunk_id": name}
