"""Does an int8 form find what fp32 finds? Both asked the same questions over the chunks that are to be embedded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np

from dragon_finetune.chunks import ChunkRef
from dragon_finetune.embedding.embedder import FineTunedEmbedder
from dragon_finetune.embedding.engine import Vectors
from dragon_finetune.embedding.int8 import Int8, Pairing, Parts
from dragon_finetune.embedding.quantising import quantise
from dragon_finetune.evaluation.judged import load_judged
from dragon_finetune.evaluation.metrics import ndcg_at_10
from dragon_finetune.evaluation.relevance import Relevance
from dragon_finetune.evaluation.statistics import paired_test
from dragon_finetune.evaluation.training_queries import read_training_queries
from dragon_finetune.index.kept import kept_vectors

_PAIRINGS = (("int8", "int8"), ("int8", "fp32"), ("fp32", "int8"))
_FEWEST = 20  # questions; an interval of fewer says nothing


@dataclass(frozen=True)
class _Sides:
    """The vectors of documents and queries by precision."""

    documents: Mapping[str, Vectors]
    queries: Mapping[str, Vectors]

    def scores(self, documents: str, queries: str) -> Vectors:
        """Return the cosines, (queries, documents), of a pairing of precisions."""
        return self.queries[queries] @ self.documents[documents].T


def questions_about(model: Path, chunks: Sequence[ChunkRef], judged: Path | None) -> list[dict[str, Any]]:
    """Return the questions to judge by: those of a file, else those recorded with a model we trained; maybe none.

    Of a recorded query the right chunk is the passage that it was trained to find. That both forms of the model know it
    does no harm: they are compared with each other.

    Args:
        model: the model folder.
        chunks: the corpus.
        judged: a file of judged questions (`load_judged`), or None.

    Raises:
        DataError: a bad file; names the question.
    """
    if judged is not None:
        return load_judged(judged, chunks)
    ids = {chunk.text: chunk.id for chunk in chunks}
    known = [pair for pair in read_training_queries(model) or () if pair.positive in ids]
    found = [{"question": pair.query, "relevant_chunk_ids": [ids[pair.positive]]} for pair in known]
    return found if len(found) >= _FEWEST else []


def quantise_and_judge(
    model: str, chunks: Sequence[ChunkRef], questions: Sequence[Mapping[str, Any]], *, seed: int = 0
) -> Int8:
    """Return the int8 form of a model that is put in use: the fastest that is accepted, else the one that finds most.

    Where 8 bits in all layers are refused, attention is left in floating point (`quantising.quantise`).

    Args:
        model: a folder, a hub name, or "embedded".
        chunks: those that are to be embedded: some are calibrated on, all are searched.
        questions: with `question` and `relevant_chunk_ids`; none: the first form is put in use unmeasured.
        seed: of the sample and of the resampling.

    Raises as `quantise`.
    """
    tried = []
    for parts in get_args(Parts):
        made = quantise(model, [chunk.text for chunk in chunks], parts=parts, seed=seed)
        tried.append(judge_int8(made, model, chunks, questions, seed=seed))
        if tried[-1].verdict != "refused":
            break
    best = tried[-1] if tried[-1].verdict != "refused" else max(tried, key=lambda form: form.pairings[0].overlap)
    best.put_in_use()
    return best


def judge_int8(
    made: Int8, model: str, chunks: Sequence[ChunkRef], questions: Sequence[Mapping[str, Any]], *, seed: int = 0
) -> Int8:
    """Return an int8 form with what was measured of it, and keep that beside it.

    Args:
        made: a form of `model`.
        model: a folder, a hub name, or "embedded".
        chunks: the corpus.
        questions: with `question` and `relevant_chunk_ids`; none: only cosines are measured.
        seed: of the resampling.
    """
    exact = FineTunedEmbedder(model, precision="fp32", device="cpu", on_overflow="split")
    asked = [str(question["question"]) for question in questions]
    forms = {"fp32": exact, "int8": exact.with_int8(made)}
    sides = _Sides(
        {name: kept_vectors(chunks, form) for name, form in forms.items()},
        {name: form.encode(asked, role="query") for name, form in forms.items()},
    )
    cosines = (sides.documents["fp32"] * sides.documents["int8"]).sum(axis=1)
    relevance = Relevance(chunks)
    right = [sorted(relevance.of(question)) for question in questions]
    exactly = _Found.of(sides.scores("fp32", "fp32"), right) if questions else None
    pairings = [_pairing(sides, right, exactly, *pairing, seed) for pairing in _PAIRINGS] if exactly else []
    measured = replace(made, cosines=(float(cosines.mean()), float(cosines.min())), pairings=tuple(pairings))
    measured.save()
    return measured


@dataclass(frozen=True)
class _Found:
    """Of each question nDCG@10, and the ten nearest documents."""

    ndcg: list[float]
    nearest: list[set[int]]

    @classmethod
    def of(cls, scores: Vectors, right: Sequence[Sequence[int]]) -> "_Found":
        nearest = np.argsort(-scores, axis=1, kind="stable")[:, :10]
        ndcg = [ndcg_at_10(row, each) for row, each in zip(scores, right, strict=True)]
        return cls(ndcg, [{*row} for row in nearest.tolist()])


def _pairing(
    sides: _Sides, right: Sequence[Sequence[int]], exactly: _Found, documents: str, queries: str, seed: int
) -> Pairing:
    quickly = _Found.of(sides.scores(documents, queries), right)
    test = paired_test(exactly.ndcg, quickly.ndcg, seed=seed)
    both = zip(exactly.nearest, quickly.nearest, strict=True)
    overlap = float(np.mean([len(one & two) / len(one) for one, two in both]))
    return Pairing(documents, queries, test.difference, test.low, test.high, overlap, test.questions)
