"""An export: written beside its place, proved by its own engine, and only then put there."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dragon_finetune.embedding.engine import Vectors
from dragon_finetune.errors import ModelError, SettingsError, suggest
from dragon_finetune.export.formats import FORMATS, Format
from dragon_finetune.export.proof import Proof, prove
from dragon_finetune.export.source import ROLES, Source
from dragon_finetune.export.texts import ProofTexts, proof_texts
from dragon_finetune.files import absolute
from dragon_finetune.locks import held
from dragon_finetune.model_place import new_draft, publish, recover, require_free


@dataclass(frozen=True)
class Export:
    """What came of an export.

    Attributes:
        path: the folder; None: it was not good enough, and nothing is left of it.
        format: "gguf", "onnx" or "openvino"; `dtype`: of its weights; `files`: what lies in the folder.
        fingerprint: of the dense model that it is of.
        proof: how near its engine comes to the model; None: that engine is not installed, so nothing is proved.
        notes: what to know of it, in sentences.
    """

    path: Path | None
    format: str
    dtype: str
    files: list[str]
    fingerprint: str
    proof: Proof | None
    notes: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON-safe values."""
        proof = self.proof.to_dict() if self.proof else None
        return {**vars(self), "path": str(self.path) if self.path else None, "proof": proof}

    def __str__(self) -> str:
        made = f"{self.format} {self.dtype}: {self.path} ({', '.join(self.files)})"
        lines = [made if self.path else f"{self.format} {self.dtype}: not made, nothing is left of it"]
        return "\n".join([*lines, *([str(self.proof)] if self.proof else []), *self.notes])


def export(
    model: str | Path,
    to: str,
    output: str | Path,
    *,
    dtype: str | None = None,
    texts: Path | None = None,
    overwrite: bool = False,
) -> Export:
    """Write the dense half of a model in another engine's format, and have that engine prove it.

    Args:
        model: a folder, a hub name, or "embedded".
        to: "gguf", "onnx" or "openvino".
        output: the folder to make, complete or not at all.
        dtype: of the weights. GGUF: "f16" (default), "f32", "q8_0"; the others: "f32".
        texts: JSON lines with `text`, of which the engine embeds 64. Default: what the model was trained on.
        overwrite: move aside what lies there already.

    Raises:
        SettingsError: an unknown format or dtype, or a library that writes it is not installed.
        ModelError: no such model, one that the format has no place for, or `output` is occupied.
        DataError: the texts can't be read.
    """
    if to not in FORMATS:
        raise SettingsError(f"--to is {to!r}. {suggest(to, FORMATS)}")
    dtype = dtype or FORMATS[to].dtypes[0]
    if dtype not in FORMATS[to].dtypes:
        raise SettingsError(f"--dtype is {dtype!r}, which {to} is not written in. {suggest(dtype, FORMATS[to].dtypes)}")
    target = absolute(output)
    require_free(target, overwrite)
    return export_source(Source.open(model), to, target, dtype=dtype, texts=texts, overwrite=overwrite)


def export_source(
    source: Source, to: str, target: Path, *, dtype: str, texts: Path | None = None, overwrite: bool = False
) -> Export:
    """Write and prove an opened model; arguments and errors as `export`."""
    if target.resolve().is_relative_to(source.folder.path.resolve()):
        raise ModelError(f"{target} is the model itself, or lies inside it. Give --output another folder.")
    form = FORMATS[to]
    form.check(source)
    asked = proof_texts(source, texts)
    with held(target, wait=True):
        recover(target)
        require_free(target, overwrite)
        draft = new_draft(target)
        try:
            notes = [*_unproved(form), *form.write(source, draft, dtype), *_notes(source)]
            files = sorted(file.relative_to(draft).as_posix() for file in draft.rglob("*") if file.is_file())
            facts = {"format": to, "dtype": dtype, "fingerprint": source.embedder.fingerprint}
            proof = _prove(source, asked, form, draft, dtype) if form.is_runnable else None
            if proof and not proof.holds:
                return Export(**facts, path=None, files=[], proof=proof, notes=notes)
            made = Export(**facts, path=target, files=files, proof=proof, notes=notes)
            publish(target, {"export": made.to_dict()})
            return made
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def _prove(source: Source, texts: ProofTexts, form: Format, folder: Path, dtype: str) -> Proof:
    def embed(given: Sequence[str]) -> Vectors:
        return form.embed(source, folder, given)

    return prove(source, texts, embed, form.engine_and_version, dtype)


def _unproved(form: Format) -> list[str]:
    said = (
        f'UNPROVEN: {form.engine}, which would run it, is not installed: pip install "dragon-finetune[export]", then '
        "export again"
    )
    return [] if form.is_runnable else [said]


def _notes(source: Source) -> list[str]:
    wanted = [(role, source.folder.prompts.of(role)) for role in ROLES]
    notes = [f"put {prompt!r} before every {role} yourself" for role, prompt in wanted if prompt]
    if source.has_words:
        notes.append(
            "only the dense half is in it: the format has no place for the words that this folder joins to its "
            "vectors; `dragon-finetune serve` has them"
        )
    return notes
