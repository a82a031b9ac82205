"""Records that travel between rooms: JSON files read with line numbers, written whole or not at all; pairs."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dragon_finetune.errors import DataError

_QUERY_NAMES = ("query", "anchor", "question")
_POSITIVE_NAMES = ("positive_text", "positive", "answer", "passage")


def read_jsonl(path: Path | str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line number from 1, object) of a UTF-8 JSON-lines file; blank lines are skipped.

    Raises:
        DataError: the file is missing or not UTF-8, or a line is not a JSON object; names file and line.
    """
    path = Path(path)
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
    path = Path(path)
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise DataError(f"{path} does not exist. Check the path.") from None
    except json.JSONDecodeError as error:
        raise DataError(f"{path}, line {error.lineno}: not valid JSON ({error.msg}). Mend the file.") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 ({error}). Save it as UTF-8.") from None


def write_text(path: Path | str, text: str | Iterable[str]) -> None:
    """Write a UTF-8 file, given whole or in pieces, whole or not at all: an error or a kill leaves what was there."""
    path = Path(path)
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


@dataclass(frozen=True)
class Pair:
    """One training example. `metadata` is what the record held beside its texts, untouched."""

    query: str
    positive: str
    negatives: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def texts(self) -> Iterator[tuple[str, str]]:
        """Yield (field, text), the query first."""
        yield "query", self.query
        yield "positive", self.positive
        for negative in self.negatives:
            yield "negative", negative


def as_pair(item: Any, where: str) -> Pair:
    """Return a pair from a Pair, a mapping (pairs file, Dataset row) or a legacy InputExample.

    Args:
        item: a mapping with `query` and `positive_text` (or `anchor` and `positive`) and optional `negative_texts`,
            `negative` or `negative_1`...; or an object with `texts` = [query, positive, negatives...].
        where: the item's place, for error messages.

    Raises:
        DataError: no query, no positive, or a text that is empty or not a string; names the place and the value.
    """
    if isinstance(item, Pair):
        pair = item
    elif isinstance(item, Mapping):
        pair = _pair_from_mapping(item, where)
    elif isinstance(getattr(item, "texts", None), (list, tuple)):
        pair = _pair_from_texts(item.texts, where)
    else:
        raise DataError(f"{where}: {type(item).__name__} is no pair; give an object with `query` and `positive_text`.")
    for name, text in pair.texts():
        check_text(text, f"{where}, {name}")
    return pair


def is_pair_like(item: Any) -> bool:
    """Tell whether `item` is meant as a pair (rather than a single text or a chunk)."""
    if isinstance(item, Mapping):
        return any(name in item for name in (*_QUERY_NAMES, *_POSITIVE_NAMES)) and "text" not in item
    return isinstance(item, Pair) or isinstance(getattr(item, "texts", None), (list, tuple))


def check_text(text: Any, where: str) -> str:
    """Return `text` if it is a string with visible content, else raise DataError naming the place and the value."""
    if not isinstance(text, str):
        raise DataError(f"{where}: expected a string, found {type(text).__name__} {text!r:.60}.")
    if not text.strip():
        raise DataError(f"{where}: the text is empty. Remove the item or fill it.")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"{where}: a lone surrogate {text[error.start]!a} at character {error.start}, which is no text. It comes "
            "from reading a file in the wrong encoding; read it as UTF-8."
        ) from None
    return text


def _pair_from_mapping(item: Mapping[str, Any], where: str) -> Pair:
    query = _first(item, _QUERY_NAMES, where)
    positive = _first(item, _POSITIVE_NAMES, where)
    negatives, used = _negatives(item)
    taken = {*_QUERY_NAMES, *_POSITIVE_NAMES, *used}
    return Pair(query, positive, negatives, {name: value for name, value in item.items() if name not in taken})


def _pair_from_texts(texts: Any, where: str) -> Pair:
    if len(texts) < 2:
        raise DataError(f"{where}: an InputExample needs texts=[query, positive, ...], found {len(texts)} text(s).")
    return Pair(texts[0], texts[1], tuple(texts[2:]))


def _first(item: Mapping[str, Any], names: tuple[str, ...], where: str) -> Any:
    for name in names:
        if item.get(name) is not None:
            return item[name]
    raise DataError(f"{where}: the pair has no {names[0]!r}; it has {sorted(item)}.")


def _negatives(item: Mapping[str, Any]) -> tuple[tuple[str, ...], set[str]]:
    if isinstance(item.get("negative_texts"), (list, tuple)):
        return tuple(item["negative_texts"]), {"negative_texts"}
    names = [name for name in item if name == "negative" or (name.startswith("negative_") and name[9:].isdigit())]
    return tuple(item[name] for name in names if item[name] is not None), {*names, "negative_texts"}
