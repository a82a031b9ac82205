"""A model folder with words in its vectors: a lexicon and a level of distances put beside a model."""

import hashlib
import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from dragon_finetune.embedding.embedder import FineTunedEmbedder
from dragon_finetune.embedding.fingerprint import fingerprint
from dragon_finetune.embedding.joiner import joiner_of
from dragon_finetune.embedding.levelling import Levels, Probe, fit_level, joined, probe_of, probed
from dragon_finetune.embedding.model_forms import write_older_form
from dragon_finetune.errors import ModelError
from dragon_finetune.files import absolute
from dragon_finetune.lexical.learning import learn, require_words
from dragon_finetune.lexical.lexicon import DIMENSIONS, SHARE, Lexicon, check_settings
from dragon_finetune.locks import held
from dragon_finetune.model_folder import ModelFolder
from dragon_finetune.model_layout import read_optional
from dragon_finetune.model_place import (
    CARD,
    EMBEDDED,
    LEVEL,
    LEXICON,
    absolute_if_folder,
    locate_here,
    new_draft,
    publish,
    recorded_base,
    recover,
    require_free,
)

# What lies hidden, what is made here, and other engines' forms of the weights, which would be of the dense model.
_LEFT_OUT = (".*", LEXICON, LEVEL, CARD, "onnx", "openvino")
Distances = Literal["base", "native"]


@dataclass(frozen=True)
class Words:
    """How words go into the vectors.

    Args:
        texts: the passages of the corpus.
        dimensions: numbers in a sketch.
        share: how much the words have to say, 0 to 0.9.
        distances: "base" keeps the base's level of distances, "native" leaves them as they are.
        avoid: questions that no sentence used for the level may be near to.
    """

    texts: Sequence[str]
    dimensions: int = DIMENSIONS
    share: float = SHARE
    distances: Distances = "base"
    avoid: Sequence[str] = ()

    @cached_property
    def lexicon(self) -> Lexicon:
        """What is learned of the texts; raises as `learn`."""
        return learn(self.texts, dimensions=self.dimensions, share=self.share)

    def check(self) -> None:
        """Raise, before anything is written, what can't be: SettingsError, or DataError for texts that give nothing."""
        check_settings(self.dimensions, self.share)
        require_words(self.texts)
        if self.distances == "base":
            probe_of(self.texts, self.avoid)


@dataclass(frozen=True)
class LexicalFolder:
    """A folder that was given words, and what was learned."""

    path: Path
    fingerprint: str
    passages: int
    words: int
    endings: str | None
    dimensions: int
    share: float
    distances: Distances
    levels: Levels | None
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON-safe values."""
        return {**asdict(self), "path": str(self.path)}

    def __str__(self) -> str:
        lines = [
            f"model: {self.path}",
            f"{self.words:,} words of {self.passages:,} passages in {self.dimensions} dimensions, share {self.share:g}"
            f"{f', {self.endings} endings taken off' if self.endings else ''}, {self.seconds:.1f} s",
            *([str(self.levels)] if self.levels else ["distances: native, not the base's"]),
        ]
        return "\n".join(lines)


def make_lexical_folder(
    model: str | Path, output: str | Path, words: Words, *, overwrite: bool = False
) -> LexicalFolder:
    """Write a copy of a model with words in its vectors; nothing is trained.

    Args:
        model: a folder, a hub name, or "embedded".
        output: the folder to make, complete or not at all.
        words: what goes into the vectors.
        overwrite: move aside what lies there already.

    Raises:
        ModelError: no such model, or `output` is occupied.
        SettingsError: dimensions or a share that can't be.
        DataError: no words in the texts, or too few to fit a level.
    """
    check_settings(words.dimensions, words.share)
    folder = ModelFolder.open(model)
    target = absolute(output)
    if target.resolve().is_relative_to(folder.path.resolve()):
        raise ModelError(f"{target} is the model itself, or lies inside it. Give --output another folder.")
    with held(target, wait=True):
        recover(target)
        run = _identity(folder, words)
        if known := _made_before(target, run):
            return known
        require_free(target, overwrite)
        words.check()
        draft = new_draft(target)
        try:
            # Without their rights: what is read-only can't be replaced on Windows, and this is a copy to write into.
            ignored = shutil.ignore_patterns(*_LEFT_OUT)
            shutil.copytree(folder.path, draft, dirs_exist_ok=True, ignore=ignored, copy_function=shutil.copyfile)
            write_older_form(draft)
            made = add_words(draft, words, judge_of(_base_of(folder, model)), target)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        card = read_optional(folder.path / CARD) or {"base_model": absolute_if_folder(str(model))}
        publish(target, {**card, **record_of(made), "lexicon_of": run})
        return made


def _identity(folder: ModelFolder, words: Words) -> str:
    """Return a hash of all that decides what is made of a model: the same again is not made twice."""
    facts = [fingerprint(folder, dense_only=True), words.dimensions, words.share, words.distances, list(words.avoid)]
    digest = hashlib.blake2b(json.dumps(facts).encode(), digest_size=16)
    for text in words.texts:
        digest.update(hashlib.blake2b(text.encode()).digest())
    return digest.hexdigest()


def _made_before(target: Path, run: str) -> LexicalFolder | None:
    """Return what the card says of a folder that was made so; None: it was not, or something in it was changed."""
    card = read_optional(target / CARD)
    if card.get("lexicon_of") != run:
        return None
    try:
        facts = {name: value for name, value in card["lexicon"].items() if name != "file"}
        levels = facts.pop("levels")
        whole = card["fingerprint"] == fingerprint(ModelFolder.open(target))
        facts |= {"path": target, "fingerprint": card["fingerprint"], "levels": levels and Levels.of(levels)}
        return LexicalFolder(**facts) if whole else None
    except (AttributeError, KeyError, TypeError, ModelError):  # edited, or taken apart
        return None


def add_words(folder: Path, words: Words, base: FineTunedEmbedder, path: Path | None = None) -> LexicalFolder:
    """Put a lexicon, and a level of distances if one is wanted, into a model folder that is not published yet.

    Args:
        folder: where the model lies.
        words: what goes into the vectors.
        base: the model whose distances are kept (`judge_of`).
        path: where the folder will lie.
    """
    started = time.perf_counter()
    lexicon = words.lexicon
    lexicon.save(folder / LEXICON)
    levels = set_level(folder, probe_of(words.texts, words.avoid), base) if words.distances == "base" else None
    return LexicalFolder(
        path=path or folder,
        fingerprint=fingerprint(ModelFolder.open(folder)),
        passages=lexicon.passages,
        words=len(lexicon.frequencies),
        endings=lexicon.endings,
        dimensions=lexicon.dimensions,
        share=lexicon.share,
        distances=words.distances,
        levels=levels,
        seconds=time.perf_counter() - started,
    )


def judge_of(model: str | Path, **options: Any) -> FineTunedEmbedder:
    """Return the embedder that says where a model's distances lie: its dense vectors alone, long texts split."""
    return FineTunedEmbedder(model, dense_only=True, on_overflow="split", **options)


def set_level(folder: Path, probe: Probe, base: FineTunedEmbedder) -> Levels:
    """Put the level that keeps the base's distances into a model folder; return how near it comes.

    Args:
        folder: where the model lies, with its lexicon if it has one.
        probe: what is asked of what.
        base: the model whose distances are kept (`judge_of`).
    """
    new = base.like(folder, revision=None)
    dense = probed(new, probe)
    same = new.fingerprint == base.fingerprint
    level, levels = fit_level(dense if same else probed(base, probe), joined(joiner_of(folder), dense, probe))
    level.save(folder / LEVEL)
    return levels


def record_of(made: LexicalFolder) -> dict[str, Any]:
    """Return what a folder's card says of its words."""
    facts = made.to_dict()
    return {"fingerprint": facts.pop("fingerprint"), "lexicon": {"file": LEXICON, **facts}}


def _base_of(folder: ModelFolder, model: str | Path) -> str | Path:
    """Return whose distances a model is to keep: its recorded base's, if that lies here, else its own."""
    name = recorded_base(folder.path)
    here = locate_here(name) if name else None
    return model if here is None else EMBEDDED if name == EMBEDDED else here
