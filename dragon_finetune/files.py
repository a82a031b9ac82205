"""Text files read with line numbers, and written whole or not at all."""

import codecs
import glob
import os
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from dragon_finetune.errors import DataError, SettingsError
from dragon_finetune.json_text import dump, parse

_SECONDS_OF_A_DAY = 86_400
OPEN_FILES_STAY = os.name == "nt"
"""Whether a file that some process has open, or has mapped into memory, can be neither replaced nor moved."""
_PATIENCE_SECONDS = 5.0  # for whoever looks at a file for a moment: a scanner of viruses, another process of ours
_LONGEST_PATH = 259 if os.name == "nt" else None  # on Windows, unless its owner has switched long paths on


def is_address(place: Path | str) -> bool:
    """Tell whether a place is named by a server's address rather than by a path."""
    return str(place).startswith(("http://", "https://"))


def absolute(path: Path | str) -> Path:
    """Return a path that hangs on no current folder, `~` being the home: what every setting that names one becomes."""
    # Path.absolute leaves `..` in, and Path.resolve follows links, which may be meant.
    return Path(os.path.abspath(Path(path).expanduser()))  # noqa: PTH100


def read_jsonl(path: Path | str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line number from 1, object) of a UTF-8 JSON-lines file; blank lines are skipped.

    Raises:
        DataError: the file can't be read or is not UTF-8, or a line is not a JSON object; names file and line.
    """
    path = Path(path).expanduser()
    with readable(path), path.open(encoding="utf-8-sig") as lines:
        yield from json_lines(lines, path)


def json_lines(lines: Iterable[str], path: Path | str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield what `read_jsonl` does, of the lines of a file that is open; `path` is for error messages."""
    for number, line in enumerate(lines, start=1):
        if line.strip():
            where = f"{path}, line {number}"
            record = parse(line, where)
            if not isinstance(record, dict):
                found = type(record).__name__
                raise DataError(f'{where}: expected a JSON object like {{"text": ...}}, found {found}.')
            yield number, record


def read_json(path: Path | str, *, any_number: bool = False) -> Any:
    """Return the content of a UTF-8 JSON file; `any_number`: see `json_text.parse`.

    Raises:
        DataError: the file can't be read, is not UTF-8, or not JSON; names the file and the place.
    """
    return parse(read_text(path), str(path), any_number=any_number)


def read_text(path: Path | str) -> str:
    """Return the content of a UTF-8 file, without a byte order mark. Raises DataError naming it if it can't be read."""
    path = Path(path).expanduser()
    with readable(path):
        return path.read_text(encoding="utf-8-sig")


def encoding_of(path: Path | str) -> str:
    """Return the encoding of a text file by its byte order mark: PowerShell 5 writes UTF-16, most others UTF-8."""
    path = Path(path).expanduser()
    with readable(path), path.open("rb") as file:
        beginning = file.read(2)
    return "utf-16" if beginning in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"


def read_env_file(path: Path | str = ".env") -> dict[str, str]:
    """Return the variables that a dotenv file sets, {} where there is none. Raises SettingsError if it is not UTF-8."""
    from dotenv import dotenv_values

    if not Path(path).is_file():
        return {}
    try:
        said = dotenv_values(path, encoding=encoding_of(path))
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path} is not UTF-8 ({error}). Save it as UTF-8.") from None
    return {name: value for name, value in said.items() if value is not None}


@contextmanager
def readable(path: Path | str) -> Iterator[None]:
    """Tell as DataError, naming the file, what keeps the block from reading it."""
    try:
        yield
    except FileNotFoundError as error:
        if _LONGEST_PATH is not None and len(str(path)) > _LONGEST_PATH:
            raise DataError(f"{path!s:.200} can't be read ({_reason(error)}).") from None
        raise DataError(f"{path} does not exist. Check the path.") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 ({error}). Save it as UTF-8.") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path!s:.200} can't be read ({_reason(error)}). Check the path.") from None


def _reason(error: OSError | ValueError) -> str:
    said = getattr(error, "strerror", None) or str(error)
    name = getattr(error, "filename", None)
    if _LONGEST_PATH is None or not isinstance(name, str) or len(name) <= _LONGEST_PATH:
        return said
    return (
        f"{said}: {name!s:.80}... has {len(name)} characters, and Windows takes {_LONGEST_PATH} until long paths are "
        "switched on; use a folder nearer to the root, or see docs/windows.md"
    )


def patiently(move: Callable[[], object]) -> None:
    """Call `move`, again for some seconds where it is refused because somebody has the file open (Windows).

    Raises:
        PermissionError: it was refused to the end.
    """
    until = time.monotonic() + (_PATIENCE_SECONDS if OPEN_FILES_STAY else 0)
    while True:
        try:
            move()
            return
        except PermissionError:
            if time.monotonic() >= until:
                raise
            time.sleep(0.05)


def require_other_file(source: Path | str, target: Path | str) -> None:
    """Raise DataError where what is written would take the place of what is read."""
    if absolute(source).resolve() == absolute(target).resolve():
        raise DataError(f"{source} and {target} are the same file. Write to another one.")


def write_text(path: Path | str, text: str | Iterable[str]) -> None:
    """Write a UTF-8 file, given whole or in pieces, whole or not at all: an error or a kill leaves what was there.

    A link is written through; a pipe or a device gets the text and stays what it is.

    Raises:
        DataError: it can't be written; names the file and says why.
    """
    path = Path(path).expanduser()
    pieces = [text] if isinstance(text, str) else text
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if (stream := _stream_of(path)) is not None:
            with os.fdopen(os.dup(stream), "w", encoding="utf-8", newline="\n") as out:
                out.writelines(pieces)
        elif path.exists() and not path.is_file() and not path.is_dir():
            with path.open("w", encoding="utf-8", newline="\n") as out:
                out.writelines(pieces)
        else:
            with replacing(path) as draft, draft.open("w", encoding="utf-8", newline="\n") as out:
                out.writelines(pieces)
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path!s:.200} can't be written ({_reason(error)}). What was there is as it was; mend that and run the "
            "same command again."
        ) from error


def _stream_of(path: Path) -> int | None:
    """Return 1 or 2 where `path` is what stdout or stderr goes to: a file in its place would lose what follows."""
    for number, stream in ((1, sys.stdout), (2, sys.stderr)):
        with suppress(OSError, ValueError):
            going_to = os.fstat(number)
            # Windows gives all consoles, pipes and NUL the number 0.
            if going_to.st_ino and os.path.samestat(path.stat(), going_to):
                stream.flush()
                return number
    return None


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield an empty file that takes the place of `path`, whole and on the disk, when the block ends well.

    A link is written through; rights and owner of what is replaced stay. Raises OSError if it can't be written.
    """
    path = path.resolve() if path.is_symlink() else path
    beginning = f".{path.name[:50]}."  # of at most four bytes each
    _clean_up(path.parent, beginning)
    # A name that nobody can guess, and only if nothing lies there: not even a link.
    draft = path.parent / f"{beginning}{secrets.token_hex(8)}.tmp"
    draft.touch(exist_ok=False)
    try:
        yield draft
        with draft.open("rb+") as out:
            os.fsync(out.fileno())
        if path.exists():
            _take_after(path, draft)
        patiently(lambda: draft.replace(path))
    finally:
        with suppress(PermissionError):  # a read-only one, which it became by what it was to replace, stays on Windows
            draft.unlink(missing_ok=True)


def _take_after(path: Path, draft: Path) -> None:
    shutil.copymode(path, draft)
    if hasattr(os, "chown"):
        with suppress(PermissionError):  # only root may give a file away
            os.chown(draft, path.stat().st_uid, path.stat().st_gid)


def _clean_up(folder: Path, beginning: str) -> None:
    """Remove drafts that a kill left behind; no run writes one file for a day."""
    for draft in folder.glob(f"{glob.escape(beginning)}*.tmp"):
        with suppress(OSError):
            if time.time() - draft.lstat().st_mtime > _SECONDS_OF_A_DAY:
                draft.unlink()


def write_json(path: Path | str, value: Any) -> None:
    """Write `value` as indented UTF-8 JSON, whole or not at all."""
    write_text(path, dump(value, indent=2) + "\n")


def write_jsonl(path: Path | str, records: Iterable[Mapping[str, Any]]) -> None:
    """Write records as UTF-8 JSON lines, whole or not at all; `records` may be longer than memory."""
    write_text(path, (dump(record) + "\n" for record in records))
