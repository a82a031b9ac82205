"""The output folder of a training run: claimed before work starts, resumed, and swapped in whole at the end."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from dragon_finetune import files
from dragon_finetune.errors import ModelError
from dragon_finetune.files import read_json, write_json
from dragon_finetune.locks import held
from dragon_finetune.model_place import CARD, new_draft, publish, recover
from dragon_finetune.training.checkpoints import last_whole

CHECKPOINTS = "checkpoints"


class OutputFolder:
    """Where one training run writes.

    Beside the output `models/finetuned` lie, while needed: `finetuned.work` (checkpoints and what run they are of),
    `finetuned.new` (the finished model, about to be renamed), and `finetuned.old-N` (what was replaced).

    Args:
        path: the output folder.
        identity: everything that decides the result; JSON-safe.
    """

    def __init__(self, path: Path, identity: dict[str, Any]) -> None:
        self.path = path
        self.work = _work_of(path)
        self.checkpoints = self.work / CHECKPOINTS
        self._identity = identity

    def finished(self, *, overwrite: bool) -> dict[str, Any] | None:
        """Return the card of this very run if it has finished before.

        Raises:
            ModelError: the folder holds something else and `overwrite` is off.
        """
        recover(self.path)
        if not self.path.exists() or (self.path.is_dir() and not any(self.path.iterdir())):
            return None
        card: dict[str, Any] = read_json(self.path / CARD) if (self.path / CARD).is_file() else {}
        if card.get("run") == self._identity:
            return card
        if not overwrite:
            changes = self._changes(card.get("run") or {})
            held = (
                f"a model trained with other settings or pairs, or on another base ({changes})"
                if card
                else "something that is no trained model"
            )
            raise ModelError(
                f"{self.path} already holds {held}. Choose another output folder, or pass overwrite=True "
                "(--overwrite), which moves it aside first."
            )
        return None

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other processes out of the work folder while the block runs.

        Raises:
            ModelError: the work folder can't be written.
            BusyError: another process is at work in it.
        """
        try:
            self.work.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ModelError(f"{self.work} can't be written ({error}). Choose another output folder.") from error
        with held(self.work / "run", wait=False):
            yield
        if files.OPEN_FILES_STAY:
            self._remove_the_lock()

    def _remove_the_lock(self) -> None:
        # It lay in the work folder, which could not be removed before. If another process holds it now, it stays.
        with suppress(OSError):
            (self.work / ".run.lock").unlink(missing_ok=True)
            self.work.rmdir()

    def begin(self) -> Path | None:
        """Claim the work folder; return the last whole checkpoint of this very run, if there is one.

        Raises:
            ModelError: the work folder belongs to a run with other settings or pairs.
        """
        record = self.work / "run.json"
        if record.is_file():
            self._require_same(read_json(record), record)
        else:
            write_json(record, self._identity)
        return last_whole(self.checkpoints, self._identity.get("processes", 1))

    def _require_same(self, other: dict[str, Any], record: Path) -> None:
        if changes := self._changes(other):
            raise ModelError(
                f"{record.parent} holds an unfinished run that differs ({changes}). Run that one again to finish it, "
                "delete the folder, or choose another output folder."
            )

    def _changes(self, other: dict[str, Any]) -> str:
        keys = sorted(key for key in {*other, *self._identity} if other.get(key) != self._identity.get(key))
        return ", ".join(f"{key}: {other.get(key)!r} before, {self._identity.get(key)!r} now" for key in keys)

    def draft(self) -> Path:
        """Return an empty folder to write the finished model into."""
        return new_draft(self.path)

    def publish(self, card: dict[str, Any]) -> None:
        """Write the card into the draft, which makes it complete, and put the draft in the output's place."""
        publish(self.path, {**card, "run": self._identity})
        shutil.rmtree(self.work, ignore_errors=True)


def wait_for_others(path: Path) -> None:
    """Wait until no process trains into the output folder `path`."""
    with held(_work_of(path) / "run", wait=True):
        pass


def _work_of(path: Path) -> Path:
    return path.with_name(path.name + ".work")
