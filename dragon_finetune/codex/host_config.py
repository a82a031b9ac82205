"""The dict by which generation C's own manager loads a tuned folder, with no exchange at all."""

import json
import warnings
from pathlib import Path
from typing import Any

from dragon_finetune.errors import DragonFinetuneError, SettingsError
from dragon_finetune.model_folder import ModelFolder, Role
from dragon_finetune.model_place import LEVEL, LEXICON

# Texts that begin as texts do: with a letter of either case, a digit, a sign, a space, a script without spaces.
_BEGINNINGS = ("Who keeps it?", "the ledger", "7 oaths", "'Tis said", " spaced", "竜の書", "Épée")


def host_config(model: Path | str) -> dict[str, Any]:
    """Return generation C's EMBEDDING_MODEL_CONFIG of a model folder (HOST_CONTRACT 11).

    Its manager joins prefix, a space and text, so a prefix is a prompt without its last space; and it refuses texts of
    EMBEDDING_MODEL_MAX_TOKENS tokens or more, so the longest that it takes is one token below the model's limit.

    Raises:
        ModelError: no such model.
        SettingsError: it has no limit, its prompts can't be had with a space between, or queries go their own way.
    """
    folder = ModelFolder.open(model)
    if folder.limit is None:
        raise SettingsError(f"{folder.path} has no limit in tokens, which the host wants. Train with max_seq_length.")
    if folder.routed:
        raise SettingsError(
            f"{folder.path} has a way of their own for queries, which generation C's own manager does not know: it "
            "would ask as documents. Use `dragon-finetune run` with EMBEDDER=finetuned."
        )
    joined = [name for name in (LEXICON, LEVEL) if (folder.path / name).is_file()]
    if joined:
        warnings.warn(
            f"{folder.path} holds {' and '.join(joined)}, which generation C's own manager does not read: it makes the "
            "dense vectors alone. For the joined ones use `dragon-finetune run` with EMBEDDER=finetuned.",
            stacklevel=2,
        )
    return {
        "EMBEDDING_MODEL_NAME": str(folder.path),
        "EMBEDDING_MODEL_MAX_TOKENS": folder.limit,
        "EMBEDDING_MODEL_DIMENSION": _dimension(folder),
        "EMBEDDING_MODEL_RAW_PREFIX": None,
        "EMBEDDING_MODEL_SEARCH_PREFIX": _prefix(folder, "query"),
        "EMBEDDING_MODEL_DOCUMENT_PREFIX": _prefix(folder, "document"),
    }


def as_source(config: dict[str, Any]) -> str:
    """Return the dict as Python to paste into the host's Config."""
    lines = [f'    "{key}": {"None" if value is None else json.dumps(value)},' for key, value in config.items()]
    return "\n".join(["EMBEDDING_MODEL_FINETUNED = {", *lines, "}"])


def for_generation_c(model: Path | str) -> str:
    """Return what to paste to have generation C load a model, or why it can't be had; raises nothing of ours."""
    try:
        pasted = as_source(host_config(model))
    except DragonFinetuneError as error:
        return f"generation C's own manager can't load it: {error}"
    return f"for the Config of a codex of generation C, whose own manager loads it so:\n{pasted}"


def _prefix(folder: ModelFolder, role: Role) -> str | None:
    """Return what the host puts before a space and a text, so that the model reads what it was trained with."""
    prompt = folder.prompts.of(role)
    if not prompt:
        return None
    if prompt.endswith(" "):
        return prompt[:-1]
    tokenizer = folder.load_tokenizer(role)
    for text in _BEGINNINGS:
        if tokenizer(prompt + text)["input_ids"] != tokenizer(f"{prompt} {text}")["input_ids"]:
            raise SettingsError(
                f"{folder.path} was trained with the {role} prompt {prompt!r}, with no space after it, and generation "
                "C's own manager puts one there, which this model reads as something else. Use `dragon-finetune run` "
                "with EMBEDDER=finetuned, or train with a prompt that ends in a space."
            )
    return prompt


def _dimension(folder: ModelFolder) -> int:
    from dragon_finetune.embedding.model import load_model  # imports torch, which takes seconds

    dimension = load_model(folder, device="cpu").get_embedding_dimension()
    assert dimension is not None
    return dimension
