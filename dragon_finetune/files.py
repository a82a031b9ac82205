"""Text files read with line numbers, and written whole or not at all."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from dragon_finetune.errors import DataError


def absolute(path: Path | str) -> Path:
    """Return a path that hangs on no current folder, `~` being the home: what every setting that names one becomes."""
    # Path.absolute leaves `..` in, and Path.resolve follows links, which may be meant.
    return Path(os.path.abspath(Path(path).expanduser()))  # noqa: PTH100


def read_jsonl(path: Path | str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line number from 1, object) of a UTF-8 JSON-lines file; blank lines are skipped.

    Raises:
        DataError: the file is missing or not UTF-8, or a line is not a JSON object; names file and line.
    """
    path = Path(path).expanduser()
    try:
        with path.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield number, _parse_object(line, f"{path}, line {number}")
    except FileNotFoundError:
        raise DataError(f"{path} does not exist. Check the path.") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 ({error}). Save it as UTF-8.") from None


def _parse_object(line: str, where: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(f"{where}: not valid JSON ({error.msg} at column {error.colno}). Mend the line.") from None
    if not isinstance(record, dict):
        raise DataError(f'{where}: expected a JSON object like {{"text": ...}}, found {type(record).__name__}.')
    return record


def read_json(path: Path | str) -> Any:
    """Return the content of a UTF-8 JSON file.

    Raises:
        DataError: the file is missing, not UTF-8, or not JSON; names the file and the place.
    """
    path = Path(path).expanduser()
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise DataError(f"{path} does not exist. Check the path.") from None
    except json.JSONDecodeError as error:
        raise DataError(f"{path}, line {error.lineno}: not valid JSON ({error.msg}). Mend the file.") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 ({error}). Save it as UTF-8.") from None


def require_other_file(source: Path | str, target: Path | str) -> None:
    """Raise DataError where what is written would take the place of what is read."""
    if absolute(source).resolve() == absolute(target).resolve():
        raise DataError(f"{source} and {target} are the same file. Write to another one.")


def write_text(path: Path | str, text: str | Iterable[str]) -> None:
    """Write a UTF-8 file, given whole or in pieces, whole or not at all: an error or a kill leaves what was there."""
    path = Path(path).expanduser()
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with draft.open("w", encoding="utf-8", newline="\n") as out:
            out.writelines([text] if isinstance(text, str) else text)
            out.flush()
            os.fsync(out.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def write_json(path: Path | str, value: Any) -> None:
    """Write `value` as indented UTF-8 JSON, whole or not at all."""
    write_text(path, json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def write_jsonl(path: Path | str, records: Iterable[Mapping[str, Any]]) -> None:
    """Write records as UTF-8 JSON lines, whole or not at all; `records` may be longer than memory."""
    write_text(path, (json.dumps(record, ensure_ascii=False) + "\n" for record in records))
