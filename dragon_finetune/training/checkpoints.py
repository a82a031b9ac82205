"""Which checkpoint a run goes on from: the newest that is whole."""

import json
import warnings
import zipfile
from pathlib import Path

from dragon_finetune.model_check import is_whole

# What the Trainer needs to go on as if nothing had been.
_NEEDED = ("trainer_state.json", "optimizer.pt", "scheduler.pt", "rng_state.pth")


def last_whole(checkpoints: Path) -> Path | None:
    """Return the newest checkpoint that a kill or a power cut has left whole, None if there is none.

    One that is not is warned about, with the file: its steps are trained again.
    """
    found = [folder for folder in checkpoints.glob("checkpoint-*") if folder.name.rpartition("-")[2].isdigit()]
    for folder in sorted(found, key=lambda each: -int(each.name.rpartition("-")[2])):
        damaged = _damaged(folder)
        if damaged is None:
            return folder
        warnings.warn(f"{folder} is not whole ({damaged}); going on from an earlier one.", stacklevel=2)
    return None


def _damaged(folder: Path) -> str | None:
    """Return the name of a file that is missing or cut short, None if all are whole."""
    several = [*folder.glob("rng_state_*.pth")]  # one per process, under torchrun
    needed = [name for name in _NEEDED if not (name == "rng_state.pth" and several)]
    missing = next((name for name in needed if not (folder / name).is_file()), None)
    weights = [*folder.rglob("*.safetensors")]
    if missing or not weights:
        return missing or "no weights"
    files = [*(folder / name for name in needed), *several, *weights]
    return next((file.name for file in files if not _is_whole(file)), None)


def _is_whole(file: Path) -> bool:
    if file.suffix == ".safetensors":
        return is_whole(file)
    if file.suffix == ".json":
        try:
            return isinstance(json.loads(file.read_text(encoding="utf-8")), dict)
        except ValueError:
            return False
    # torch writes zip archives, whose table of contents is at the end.
    return zipfile.is_zipfile(file)
