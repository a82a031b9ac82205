"""Text files opened, packed or not, with what can go wrong told as ours."""

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO, cast

from dragon_finetune.errors import DataError
from dragon_finetune.files import readable
from dragon_finetune.reading.kinds import is_packed

_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@contextmanager
def opened(path: Path | str, *, utf_16: bool = False, newline: str | None = None) -> Iterator[IO[str]]:
    """Open a UTF-8 text file, with or without byte order mark, unpacked where its name ends in `.gz`.

    Args:
        path: the file.
        utf_16: also take UTF-16, by its byte order mark: Excel and PowerShell write it.
        newline: as for `open`.

    Raises:
        DataError: it can't be read, is not UTF-8, or is damaged, also while it is being read; names the file.
    """
    path = Path(path).expanduser()
    with readable(path):
        try:
            with cast(BinaryIO, gzip.open(path, "rb") if is_packed(path) else path.open("rb")) as file:
                beginning = cast(io.BufferedReader, file).peek(2)[:2]
                encoding = "utf-16" if utf_16 and beginning in _UTF_16 else "utf-8-sig"
                with io.TextIOWrapper(file, encoding=encoding, newline=newline) as text:
                    yield text
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise DataError(f"{path} is damaged, or not packed with gzip ({error}). Fetch or pack it again.") from None
