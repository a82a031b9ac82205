"""Text files one by one, each a text of its own."""

import warnings
from collections.abc import Iterator
from pathlib import Path

from dragon_finetune.errors import DataError
from dragon_finetune.files import readable
from dragon_finetune.reading.kinds import TEXT, kind_of
from dragon_finetune.reading.opening import opened
from dragon_finetune.reading.records import Placed
from dragon_finetune.reading.saying import say_once
from dragon_finetune.text import check_text


def read_folder(folder: Path | str) -> Iterator[Placed]:
    """Yield the .txt and .md files of a folder and those below it, by their paths; `source` is the path within it.

    Hidden files are none of ours; other kinds, and files that hold nothing, are named in a warning.

    Raises:
        DataError: a file that can't be read, or no text at all.
    """
    root = Path(folder).expanduser()
    with readable(root):
        names = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    names = [name for name in names if not any(part.startswith(".") for part in name.split("/"))]
    ours = [name for name in names if kind_of(name) == TEXT]
    others = [name for name in names if kind_of(name) != TEXT]
    if not ours:
        held = f"it holds {_some(others)}. Give those files themselves" if others else "it is empty"
        raise DataError(f"{folder} holds no .txt or .md files; {held}.")
    _warn(folder, others, "only .txt and .md files of a folder are read")
    blank = []
    for name in ours:
        text = _read(root / name)
        if text.strip():
            where = str(Path(folder) / name)
            yield where, {"text": check_text(text, where), "source": name}
        else:
            blank.append(name)
    if len(blank) == len(ours):
        raise DataError(f"{folder}: none of its {len(ours)} text files holds a text. Check the folder.")
    _warn(folder, blank, "nothing is in it")
    say_once(folder, f"folder, {len(ours) - len(blank):,} texts (.txt, .md), one a file")


def read_one_text(path: Path | str) -> Iterator[Placed]:
    """Yield a text file as one text; `source` is its name. Raises DataError if it can't be read or is empty."""
    yield str(path), {"text": check_text(_read(Path(path)), str(path)), "source": Path(path).name}
    say_once(path, "one text")


def _read(path: Path) -> str:
    with opened(path, utf_16=True) as file:
        return file.read()


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3:,} more" if len(names) > 3 else "")


def _warn(folder: Path | str, names: list[str], why: str) -> None:
    if names:
        warnings.warn(f"{folder}: {_some(names)} passed over: {why}.", stacklevel=3)
