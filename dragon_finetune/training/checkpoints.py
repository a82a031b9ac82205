"""Which checkpoint a run goes on from: the newest that is whole."""

import json
import warnings
import zipfile
from pathlib import Path

from dragon_finetune.errors import ModelError
from dragon_finetune.model_check import check_complete, is_whole

# What the Trainer needs beside the model to go on as if nothing had been.
_NEEDED = ("trainer_state.json", "optimizer.pt", "scheduler.pt")


def last_whole(checkpoints: Path, processes: int = 1) -> Path | None:
    """Return the newest checkpoint that a kill or a power cut has left whole, None if there is none.

    Those that are not are warned about, with the file: their steps are trained again.
    """
    found = [folder for folder in checkpoints.glob("checkpoint-*") if folder.name.rpartition("-")[2].isdigit()]
    damaged = []
    last = None
    for folder in sorted(found, key=step_of, reverse=True):
        reason = _damage(folder, processes)
        if reason is None:
            last = folder
            break
        damaged.append(f"{folder} is not whole ({reason})")
    if damaged:
        beginning = f"step {step_of(last)}" if last else "the beginning"
        warnings.warn(f"{'; '.join(damaged)}: going on from {beginning}.", stacklevel=2)
    return last


def step_of(checkpoint: Path) -> int:
    """Return the step at which a checkpoint was saved."""
    return int(checkpoint.name.rpartition("-")[2])


def _random_states(processes: int) -> list[str]:
    return ["rng_state.pth"] if processes == 1 else [f"rng_state_{rank}.pth" for rank in range(processes)]


def _damage(folder: Path, processes: int) -> str | None:
    """Return what is missing or has lost bytes, None if all is whole."""
    files = [folder / name for name in (*_NEEDED, *_random_states(processes))]
    files += [*(sorted(folder.rglob("*.safetensors")) or [folder / "model.safetensors"]), *folder.rglob("*.json")]
    for file in files:
        if not _is_whole(file):
            return str(file.relative_to(folder))
    try:
        check_complete(folder)
    except ModelError as error:
        return str(error)
    return None


def _is_whole(file: Path) -> bool:
    try:
        if file.suffix == ".safetensors":
            return is_whole(file)
        if file.suffix == ".json":
            return json.loads(file.read_text(encoding="utf-8")) is not None
        # torch writes zip archives, with a checksum of every part.
        with zipfile.ZipFile(file) as archive:
            return archive.testzip() is None
    except (OSError, ValueError, zipfile.BadZipFile):
        return False
