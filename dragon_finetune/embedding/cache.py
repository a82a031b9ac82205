"""What is made once per model and machine, and remembered: converted weights, and which engine is best."""

import contextlib
import os
from pathlib import Path
from typing import Any

import platformdirs

from dragon_finetune.errors import DataError
from dragon_finetune.files import read_json, write_json

PLACE = "DRAGON_FINETUNE_CACHE"
"""The environment variable that names another folder for it than the user's cache."""


def cache_folder(mark: str) -> Path:
    """Return where things made from a model are kept: in the user's cache, or where DRAGON_FINETUNE_CACHE says.

    Never beside the model: what lies in its folder came with it, and a converted model can't be told from a forged one.

    Args:
        mark: the model's fingerprint, which names the folder: another model never finds these things. What lies in
            folders by fingerprint itself may be called by what it is.
    """
    said = os.environ.get(PLACE)
    root = Path(said).expanduser().absolute() if said else Path(platformdirs.user_cache_dir("dragon-finetune"))
    return root / mark


def recall(cache: Path, key: str) -> Any:
    """Return what was remembered under `key`, or None; a damaged note counts as none."""
    return _notes(cache).get(key)


def remember(cache: Path, key: str, value: Any) -> None:
    """Keep `value` under `key` for later processes. Where nothing can be written, nothing is kept."""
    with contextlib.suppress(OSError, DataError):
        write_json(cache / "choices.json", {**_notes(cache), key: value})


def _notes(cache: Path) -> dict[str, Any]:
    with contextlib.suppress(DataError, OSError):
        notes = read_json(cache / "choices.json")
        return notes if isinstance(notes, dict) else {}
    return {}
