"""A chunk of a file: where it stands, its text, and an id."""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dragon_finetune.errors import DataError
from dragon_finetune.files import absolute
from dragon_finetune.reading.kinds import without_suffixes
from dragon_finetune.reading.records import Placed
from dragon_finetune.reading.texts import read_texts


@dataclass(frozen=True)
class ChunkRef:
    """One chunk: where it stands, its id, its text, its metadata, and the absolute path of its file."""

    where: str
    id: str
    text: str
    metadata: dict[str, Any]
    file: str = ""


def no_chunks(files: Sequence[Path | str]) -> DataError:
    """Return the error of files without a chunk."""
    return DataError(f"{', '.join(map(str, files))} hold no chunks. Check the files.")


def read_chunks(
    files: Sequence[Path | str], *, unique: bool = True, text_field: str | None = None
) -> Iterator[ChunkRef]:
    """Yield the chunks of files and folders of any kind that `reading.texts.read_texts` takes, in order.

    A chunk without `chunk_id` gets `<stem>_<row>` as the host does, a file of a folder `<folder>/<path in it>`; where
    two files have one stem, as much of their paths stands before it as tells them apart.

    Args:
        files: JSON lines, JSON, CSV, TSV, Parquet, any of them but Parquet packed with gzip; text files; folders of
            text files; BEIR folders.
        unique: refuse an id that comes twice. Where ids are not used, a host's own repeated ones do no harm.
        text_field: the field that holds the text; default: `text`, else the one of `content`, `page_content` and
            `document` that is there.

    Raises:
        DataError: what can't be read, a chunk without text, an id that comes twice, or a file given twice; names file
            and line, row or item.
    """
    paths = [absolute(file).resolve() for file in files]
    if unique and len({*paths}) < len(paths):
        again = next(file for number, file in enumerate(files) if paths[number] in paths[:number])
        raise DataError(f"{again} is given twice. Give each chunk file once.")
    sources = zip(map(str, paths), labels(paths), (read_texts(file, text_field) for file in files), strict=True)
    yield from chunks_of(sources, unique=unique)


def chunks_of(sources: Iterable[tuple[str, str, Iterable[Placed]]], *, unique: bool) -> Iterator[ChunkRef]:
    """Yield the chunks of sources: the file's path, its label (`labels`), and its texts (`reading.texts`).

    Args:
        sources: in order.
        unique: refuse an id that comes twice.

    Raises:
        DataError: an id that comes twice, or what the texts raise.
    """
    places: dict[str, str] = {}
    for file, label, texts in sources:
        folder = Path(file).is_dir()
        for row, (where, record) in enumerate(texts):
            metadata = {key: value for key, value in record.items() if key != "text"}
            name = f"{label}/{record.get('source')}" if folder else f"{label}_{row}"
            chunk = ChunkRef(where, str(record.get("chunk_id") or name), record["text"], metadata, file)
            if unique and places.setdefault(chunk.id, where) != where:
                raise DataError(
                    f"{where}: chunk_id {chunk.id!r} is also that of {places[chunk.id]}; one would overwrite the "
                    "other. Give each chunk an id of its own, or leave chunk_id out."
                )
            yield chunk


def each_once(files: Sequence[Path | str]) -> list[Path | str]:
    """Return the files but for those that were given before, by whatever path; a warning names each."""
    kept: dict[object, Path | str] = {}
    for file in files:
        place = absolute(file).resolve()
        state = place.stat() if place.is_file() else None
        # Some file systems number no files.
        key = (state.st_dev, state.st_ino) if state and state.st_ino else place
        if key in kept:
            warnings.warn(f"{file} is given twice (first as {kept[key]}); it counts once.", stacklevel=2)
        else:
            kept[key] = file
    return list(kept.values())


def labels(files: Sequence[Path]) -> list[str]:
    """Return each file's stem, with as many of its folders before it as no other file of that stem has.

    Files that differ in their suffixes alone keep them.
    """
    stems = [file if file.is_dir() else without_suffixes(file) for file in files]
    told = [file if stems.count(stem) > 1 or stem in files else stem for file, stem in zip(files, stems, strict=True)]
    parts = [path.parts for path in told]
    told_apart = []
    for place, own in enumerate(parts):
        rivals = [other for number, other in enumerate(parts) if number != place and other[-1] == own[-1]]
        length = next((n for n in range(1, len(own) + 1) if all(other[-n:] != own[-n:] for other in rivals)), len(own))
        told_apart.append("/".join(own[-length:]))
    return told_apart
