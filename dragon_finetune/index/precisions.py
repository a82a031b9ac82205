"""Which precision stored vectors are of, and whether it was measured with that of the queries to come."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dragon_finetune.embedding.embedder import FineTunedEmbedder
from dragon_finetune.embedding.int8 import Int8, int8_of
from dragon_finetune.index.agreement import agreement, cosines_to_stored
from dragon_finetune.index.collection import stored_config
from dragon_finetune.index.health import Finding
from dragon_finetune.index.sample import Sample

_ELSEWHERE = Finding(
    "unmeasured",
    "It was made in int8 by another form than is here (another CPU, other calibration, or a changed model): what it "
    "loses with these queries nobody measured. Run `dragon-finetune quantize CHUNKS... --judged FILE`, then embed it "
    "again.",
)


@dataclass(frozen=True)
class Precisions:
    """What is seen of a sample: which records are this model's in any precision, what is wrong, what is of note."""

    agree: Any
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def precisions(embedder: FineTunedEmbedder, sample: Sample, collection: Any) -> Precisions:
    """Return what is seen of stored vectors of a model that has an int8 form here; of others, whether they agree.

    A vector is of the precision whose vector of the same text is nearer. int8 on one side and fp32 on the other is fine
    where judged questions accepted that pairing (`evaluation.int8`), and only there: bf16 and fp16 count as fp32.
    """
    form = int8_of(embedder.folder)
    if _is_of_another_form(embedder, form, stored_config(collection)):
        return Precisions(agreement(embedder, sample, "document"), [_ELSEWHERE])
    if form is None:
        return Precisions(agreement(embedder, sample, "document"))
    in_use = embedder.dense.int8
    quick = embedder.with_int8(form)
    exact = embedder.like(precision="fp32") if in_use else embedder
    agree = agreement(quick, sample, "document") | agreement(exact, sample, "document")
    nearer = _cosines(quick, sample) > _cosines(exact, sample)
    stored = {"int8" if each else "fp32" for each in nearer[agree]}
    queries = (in_use.queries or "int8") if in_use else "fp32"
    if len(stored) == 2:
        return Precisions(agree, [_mixed(nearer, agree)])
    findings, notes = [], []
    for documents in stored:
        if not form.allows(documents, queries):
            findings.append(_unfit(form, documents, queries))
        elif "int8" in (documents, queries):
            notes += [str(each) for each in form.pairings if (each.documents, each.queries) == (documents, queries)]
    return Precisions(agree, findings, notes)


def _is_of_another_form(embedder: FineTunedEmbedder, form: Int8 | None, config: Mapping[str, Any]) -> bool:
    """Tell whether a collection says that it is of int8, and not by the form that is here."""
    mark, options = config.get("fingerprint"), config.get("options") or {}
    if mark is None or not (options.get("precision") == "int8" or options.get("allow_int8")):
        return False
    here = [embedder.like(precision="fp32"), *([embedder.with_int8(form)] if form else [])]
    return not any(each.recognises(mark) for each in here)


def _cosines(embedder: FineTunedEmbedder, sample: Sample) -> Any:
    dense = embedder.without_words
    return cosines_to_stored(dense, sample.dense(dense.dimension) if embedder.joiner else sample, "document")


def _mixed(nearer: Any, agree: Any) -> Finding:
    quick = int(nearer[agree].sum())
    return Finding(
        "mixed",
        f"{quick} of {agree.sum()} sampled vectors are of int8, the others of fp32: nobody measured such a mixture. "
        "Embed it again, whole.",
    )


def _unfit(form: Int8, documents: str, queries: str) -> Finding:
    known = [each for each in form.pairings if (each.documents, each.queries) == (documents, queries)]
    said = str(known[0]) if known else f"documents {documents}, queries {queries}: nobody measured what that loses"
    advice = "Judge it with `dragon-finetune quantize CHUNKS... --judged FILE`, or embed and query in one precision."
    return Finding("refused" if known else "unmeasured", f"{said}. {advice}")
