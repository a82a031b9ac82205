"""What kind of file a name tells."""

from pathlib import Path

from dragon_finetune.errors import DataError

LINES, JSON, CSV, TSV, PARQUET, TEXT = "JSON lines", "JSON", "CSV", "TSV", "Parquet", "text"
_KINDS = {
    ".jsonl": LINES,
    ".ndjson": LINES,
    ".json": JSON,
    ".csv": CSV,
    ".tsv": TSV,
    ".parquet": PARQUET,
    ".txt": TEXT,
    ".md": TEXT,
}
_PACKED = ".gz"
TABLES = (CSV, TSV, PARQUET)
"""Kinds in which every record has all fields, so that one without a value is empty."""


def kind_of(path: Path | str) -> str:
    """Return the kind of a file by its suffix, `.gz` put aside; what tells nothing (a pipe) holds JSON lines."""
    return _KINDS.get(_unpacked(path).suffix.lower(), LINES)


def is_packed(path: Path | str) -> bool:
    """Tell whether a file is packed with gzip, by its name."""
    return Path(path).suffix.lower() == _PACKED


def without_suffixes(path: Path | str) -> Path:
    """Return a path without the suffixes that tell its kind: `books.csv.gz` -> `books`."""
    return _unpacked(path).with_suffix("")


def is_chunk_file(name: Path | str) -> bool:
    """Tell whether a loose argument is a file of chunks, and neither a model nor an answers file (.json)."""
    return _KINDS.get(_unpacked(name).suffix.lower(), JSON) not in (JSON, TEXT)


def require_lines(path: Path | str) -> None:
    """Raise DataError where what is written, JSON lines, would be read as another kind by its name."""
    if is_packed(path) or kind_of(path) not in (LINES, JSON):
        raise DataError(f"{path} would hold JSON lines, whatever it is called. Give a name that ends in .jsonl.")


def _unpacked(path: Path | str) -> Path:
    return Path(path).with_suffix("") if is_packed(path) else Path(path)
