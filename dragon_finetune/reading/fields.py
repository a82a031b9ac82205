"""Which field of a record is its text."""

from collections.abc import Mapping
from typing import Any

from dragon_finetune.errors import DataError

TEXT = "text"
_OTHERS = ("content", "page_content", "document")


def text_field_of(record: Mapping[str, Any], where: str, asked: str | None = None) -> str:
    """Return the name of the field that holds a record's text: the one asked for, else `text`, else the one other name
    of the usual ones.

    Raises:
        DataError: no such field, or several usual names and none of them `text`; names the fields there are.
    """
    there = f"the record has {sorted(record)}"
    if asked is not None:
        if asked not in record:
            raise DataError(f"{where}: no field {asked!r}; {there}. Give --text-field one of these.")
        return asked
    if TEXT in record:
        return TEXT
    found = [name for name in _OTHERS if name in record]
    if len(found) == 1:
        return found[0]
    wrong = f"{' and '.join(map(repr, found))} may be the text" if found else "no field 'text'"
    raise DataError(f"{where}: {wrong}; {there}. Name the field that holds it with --text-field.")
