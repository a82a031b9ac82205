"""A file system as unkind as Windows': what is open, or mapped into memory, is neither replaced, moved nor removed."""

import os
import shutil
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

_REAL = {name: getattr(os, name) for name in ("rename", "replace", "unlink", "remove")}


def held_files() -> set[str]:
    """Return the files that this process has open or mapped."""
    opened = set()
    for number in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # the folder that is being listed
            opened.add(str(number.readlink()))
    lines = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
    mapped = {line.split(maxsplit=5)[5] for line in lines if len(line.split(maxsplit=5)) == 6}
    return opened | mapped


def _require_free(path: os.PathLike[str] | str) -> None:
    place = os.path.realpath(path)
    for file in held_files():
        if file == place or file.startswith(place + os.sep):
            raise PermissionError(13, f"is open: {file}", os.fspath(path))


def _require_writable(path: os.PathLike[str] | str) -> None:
    if os.path.lexists(path) and not Path(path).is_dir() and not os.lstat(path).st_mode & stat.S_IWRITE:
        raise PermissionError(13, "is read-only", os.fspath(path))


def _rename(source, target) -> None:
    _require_free(source)
    if os.path.lexists(target):
        raise FileExistsError(17, "is there already", os.fspath(source), None, os.fspath(target))
    _REAL["rename"](source, target)


def _replace(source, target) -> None:
    _require_free(source)
    _require_free(target)
    _require_writable(target)
    _REAL["replace"](source, target)


def _unlink(path, **named) -> None:
    # A lock file goes its own way on each system, which `filelock` knows.
    if not sys._getframe(1).f_globals["__name__"].startswith("filelock"):
        _require_free(path)
    _require_writable(path)
    _REAL["unlink"](path, **named)


@pytest.fixture
def unkind(monkeypatch) -> Iterator[None]:
    """Let this process meet such a file system, and let our code know it."""
    from dragon_finetune import files

    monkeypatch.setattr(files, "OPEN_FILES_STAY", True)
    monkeypatch.setattr(files, "_PATIENCE_SECONDS", 1.0)
    monkeypatch.setattr(shutil, "_use_fd_functions", False)  # else it removes by names that say not where
    for name, ours in {"rename": _rename, "replace": _replace, "unlink": _unlink, "remove": _unlink}.items():
        monkeypatch.setattr(os, name, ours)
    yield
