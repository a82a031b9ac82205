"""What is made once per model and machine, and remembered: converted weights, and which engine is best."""

import contextlib
import os
import sys
from pathlib import Path
from typing import Any

import platformdirs

from dragon_finetune.errors import DataError
from dragon_finetune.files import read_json, write_json
from dragon_finetune.model_folder import ModelFolder

_HIDDEN = ".dragon_finetune"


def cache_folder(folder: ModelFolder, mark: str) -> Path:
    """Return where things made from a model are kept: beside it, or in the user's cache if it is not ours to write to.

    Args:
        folder: the model.
        mark: its fingerprint, which names the folder: another model never finds these things.
    """
    ours = os.access(folder.path, os.W_OK) and not folder.path.resolve().is_relative_to(sys.prefix)
    root = folder.path / _HIDDEN if ours else Path(platformdirs.user_cache_dir("dragon-finetune"))
    return root / mark


def recall(cache: Path, key: str) -> Any:
    """Return what was remembered under `key`, or None; a damaged note counts as none."""
    try:
        return read_json(cache / "choices.json").get(key)
    except DataError:
        return None


def remember(cache: Path, key: str, value: Any) -> None:
    """Keep `value` under `key` for later processes. Where nothing can be written, nothing is kept."""
    try:
        known = read_json(cache / "choices.json")
    except DataError:
        known = {}
    with contextlib.suppress(OSError):
        write_json(cache / "choices.json", {**known, key: value})
