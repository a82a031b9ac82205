"""What a training run made."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class TrainingResult(BaseModel):
    """What a training run made.

    Attributes:
        path: the model folder, complete.
        kept: "tuned", "blend 0.5" (the share of the tuned weights), or "base" when no other was shown to be better by
            queries that were not trained on. With `documents: frozen`: "linear", "query encoder", "query encoder,
            blend 0.5", or "base".
        final_loss: mean training loss over the run.
        log_history: everything the Trainer logged.
        seconds: wall time of the training itself; examples_per_second and tokens_per_second go with it. Up to four
            pairs of the source "hybrid" are one example (docs/training.md).
        validation: nDCG@10 of "base", "tuned" and "kept" on the queries that judge, 0 to 1; empty without any. With
            `documents: frozen` "linear" and "query encoder" stand in the place of "tuned".
        validation_by_source: source -> nDCG@10 of "base" and "kept", and the number of "queries".
        forgetting: nDCG@10 of "base" and "kept" on 48 questions of general knowledge, which no domain has; empty where
            the limit is too low for them.
        verdict: how the kept weights were chosen (see `training.blend.Verdict`).
        curve: nDCG@10 at each look, by step.
        trouble: why the run was stopped before its time, and what to change; None if it was not.
        unproven: why nothing shows that the tuned weights are better than the base; None where something does, or where
            they are worse.
        dropped: pairs and negatives left out before training, by reason.
        pairs: numbers of "training", "validation" and "general" pairs.
        training_texts: whether the folder holds the "full" texts that it was trained on or their hashes ("hashed").
        joined: what was joined to the vectors (a lexicon, a level of distances), in lines.
        fingerprint: hash of everything that changes a vector of the folder.
        documents: whether what documents go through was "trained" or "frozen".
        document_fingerprint: hash of everything that changes a document's vector: an index of this one is fresh.
    """

    model_config = ConfigDict(frozen=True)

    path: Path
    kept: str
    final_loss: float | None
    seconds: float
    steps: int
    examples_per_second: float
    tokens_per_second: float | None
    validation: dict[str, float]
    validation_by_source: dict[str, dict[str, float]] = {}
    forgetting: dict[str, float] = {}
    verdict: dict[str, Any] = {}
    curve: dict[int, float] = {}
    trouble: str | None = None
    unproven: str | None = None
    dropped: dict[str, int] = {}
    pairs: dict[str, int]
    training_texts: str = "full"
    joined: list[str] = []
    fingerprint: str
    documents: str = "trained"
    document_fingerprint: str = ""
    log_history: list[dict[str, Any]] = Field(repr=False)

    def __str__(self) -> str:
        scores = ", ".join(f"{name} {score:.4f}" for name, score in self.validation.items())
        loss = "-" if self.final_loss is None else f"{self.final_loss:.4f}"
        left_out = ", ".join(f"{count} {reason}" for reason, count in self.dropped.items() if count)
        lines = [f"kept: {self.kept}", f"model: {self.path}"]
        lines += [f"stopped: {self.trouble}"] if self.trouble else []
        lines += [f"unproven: {self.unproven}"] if self.unproven else []
        lines += [f"validation nDCG@10 ({self.pairs['validation']} pairs): {scores or 'none held back'}"]
        if self.verdict:
            lines += _told(self.verdict)
        if len(self.validation_by_source) > 1:
            lines += [
                f"  {source:<14} {scores['base']:.4f} -> {scores['kept']:.4f} ({scores['queries']:.0f} queries)"
                for source, scores in self.validation_by_source.items()
            ]
        if self.forgetting:
            before, after = self.forgetting["base"], self.forgetting["kept"]
            lines += [f"general knowledge, nDCG@10: {before:.4f} before, {after:.4f} after ({after - before:+.4f})"]
        if self.documents == "frozen":
            lines += [f"documents go through the base: its index is this model's ({self.document_fingerprint[:8]})"]
        lines += self.joined
        lines += [f"left out: {left_out}"] if left_out else []
        lines += [
            f"loss {loss} after {self.steps} steps, {self.pairs['training']} pairs, {self.seconds:.1f} s, "
            f"{self.examples_per_second:.1f} pairs/s"
        ]
        if self.training_texts == "full":
            lines += [
                "the folder holds its training texts (training_queries.jsonl), so that leaks are found later; before "
                "you give it to others, delete that file, or train with `training_texts: hashed`"
            ]
        return "\n".join(lines)


def _told(verdict: dict[str, Any]) -> list[str]:
    """Return what the queries that judged said, dense and with words, in lines."""
    candidate = str(verdict.get("candidate", "tuned"))
    named = "" if candidate == "tuned" or candidate.startswith("blend") else f" ({candidate})"
    lines = [
        f"the best of {verdict['tried']} tried{named} against the base: {verdict['outcome']}, "
        f"{verdict['difference']:+.4f} [{verdict['low']:+.4f}, {verdict['high']:+.4f}], p {verdict['p']:.3f} "
        f"({verdict['queries']} queries)"
    ]
    dense, joined = verdict["dense"], verdict["joined"]
    if joined:
        lines += [
            f"  by the vectors alone {dense['base']:.4f} -> {dense['best']:.4f}, with the corpus's words "
            f"{joined['base']:.4f} -> {joined['best']:.4f}"
        ]
        if joined["base"] > max(dense["best"], joined["best"]):
            lines += ["  the base with words, untrained, is the best of these: `dragon-finetune lexicon`"]
    return lines
