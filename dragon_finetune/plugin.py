"""Our answers to the hooks. Each factory is cheap; models load at the first text."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dragon_finetune.embedding.embedder import FineTunedEmbedder
from dragon_finetune.errors import SettingsError
from dragon_finetune.hookspecs import ChunkerFactory, EmbedderFactory, Trainer, TrainerFactory, hookimpl
from dragon_finetune.index.freshness import warn_if_stale
from dragon_finetune.model_place import CARD, EMBEDDED, locate_here, recorded_base, recover
from dragon_finetune.settings import DEFAULT_TUNED_FOLDER, ModelOptions, read_options

if TYPE_CHECKING:
    from dragon_finetune.tokens.chunking import TokenChunker

# Dragon's Codex refuses a chunk of more characters than this after it has written the file; its newer generation glues
# a piece below the second number to the one before with a space, and drops a leading one.
_HOST_MAX_CHARS, _HOST_MIN_CHARS = 6956, 300


@hookimpl
def codex_embedders() -> Mapping[str, EmbedderFactory]:
    """Offer the tuned model, and the untuned one through the same code."""
    return {"finetuned": create_finetuned, "base": create_base}


@hookimpl
def codex_chunkers() -> Mapping[str, ChunkerFactory]:
    """Offer chunks that fit the configured model to the token."""
    return {"token_aware": create_token_aware}


@hookimpl
def codex_trainers() -> Mapping[str, TrainerFactory]:
    """Offer the trainer; its settings are the section `training:`."""
    return {"sentence_transformers": create_trainer}


def create_finetuned(config: Mapping[str, Any]) -> FineTunedEmbedder:
    """Return the embedder of the section `finetuned:`.

    Raises:
        SettingsError: bad options, or there is no trained model yet.
    """
    options = read_options("finetuned", config)
    path = Path(options.model_path or DEFAULT_TUNED_FOLDER).expanduser()
    recover(path)
    if not path.is_dir():
        raise SettingsError(
            f"embedder: finetuned needs a trained model, and there is none at {path.absolute()}. Train one: "
            f"`dragon-finetune train PAIRS --base-model M --output {path}`; or set finetuned.model_path, or "
            "embedder: base."
        )
    return _embedder(str(path), options)


def create_base(config: Mapping[str, Any]) -> FineTunedEmbedder:
    """Return the untuned model: the section `base:`, or what the tuned folder records as its base.

    Raises:
        SettingsError: bad options, or neither says which model that is; or the folder names one that is not on this
            machine: what a file names is not fetched.
    """
    options = read_options("base", config)
    if options.model_path:
        return _embedder(options.model_path, options)
    card = Path(read_options("finetuned", config).model_path or DEFAULT_TUNED_FOLDER).expanduser() / CARD
    if not card.is_file():
        raise SettingsError("embedder: base does not know its model: set base.model_path (a folder or a hub name).")
    name = recorded_base(card.parent)
    place = locate_here(name)
    if place is None:
        raise SettingsError(
            f"embedder: base: {card} names {name!r} as its base, and there is no such model on this machine. What a "
            "file names is not fetched: set base.model_path to the folder or hub name that you want."
        )
    return _embedder(name if name == EMBEDDED else str(place), options)


def create_token_aware(config: Mapping[str, Any]) -> "TokenChunker":
    """Return a chunker for the model that the switch selects, within the host's own rules on characters.

    A text of 300 characters or more gives no chunk below that, unless the model's limit is too small to hold as many;
    and to the longest chunk the host may still glue one short piece.
    """
    from dragon_finetune.tokens.chunking import TokenChunker

    embedder = create_base(config) if config.get("embedder") == "base" else create_finetuned(config)
    room = _HOST_MAX_CHARS - _HOST_MIN_CHARS - 1
    return TokenChunker(embedder.folder, max_chars=room, min_chars=_HOST_MIN_CHARS)


def create_trainer(config: Mapping[str, Any]) -> Trainer:
    """Return the trainer of the section `training:`; base model and output default to the other two sections'."""
    from dragon_finetune.training.config import TrainingConfig
    from dragon_finetune.training.finetune import FineTuner  # imports torch, which takes seconds

    defaults = {
        "base_model": read_options("base", config).model_path,
        "output_dir": read_options("finetuned", config).model_path or DEFAULT_TUNED_FOLDER,
    }
    return FineTuner(TrainingConfig(**{**defaults, **(config.get("training") or {})}))


def _embedder(model_path: str, options: ModelOptions) -> FineTunedEmbedder:
    check = None
    if options.store:
        check = partial(warn_if_stale, store=options.store, collections=options.collections)
    return FineTunedEmbedder(
        model_path,
        precision=options.precision,
        allow_int8=options.allow_int8,
        engine=options.engine,
        budget=options.budget,
        on_overflow=options.on_overflow,
        device=options.device,
        truncate_dim=options.truncate_dim,
        trust_remote_code=options.trust_remote_code,
        revision=options.revision,
        prompts=options.prompts(),
        first_query_check=check,
    )
