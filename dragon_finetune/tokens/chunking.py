"""Chunks that never exceed a token limit, counted from the final string with special tokens and prompt."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dragon_finetune.errors import SettingsError
from dragon_finetune.records import check_text
from dragon_finetune.tokens.counting import TokenCounter
from dragon_finetune.tokens.folder import ModelFolder, Role

# From the best place to cut to the worst: blank line, sentence end, white space; then anywhere.
_CUTS = (re.compile(r"\n\s*\n"), re.compile(r"(?<=[.!?…][\"'”’)\]])\s+|(?<=[.!?…])\s+"), re.compile(r"\s+"))


@dataclass(frozen=True)
class Chunk:
    """A piece of a source text: `text == source[start:end]` (characters, half open); `tokens` as the model counts."""

    text: str
    start: int
    end: int
    tokens: int


class TokenChunker:
    """Return chunks whose token count never exceeds `max_tokens`.

    Args:
        model: folder, hub name, "embedded", an open ModelFolder, a tokenizer, or a TokenCounter (whose prompt counts).
        max_tokens: the limit, special tokens and prompt included; default: the model's own.
        max_chars: a second limit, in characters; default none.
        prompt: the role whose prompt of the model counts with each chunk, or None.

    Raises:
        SettingsError: no limit is known, or it is not above the cost of special tokens and prompt.
    """

    def __init__(
        self,
        model: "str | Path | ModelFolder | Any",
        *,
        max_tokens: int | None = None,
        max_chars: int | None = None,
        prompt: Role | None = "document",
    ) -> None:
        self._counter = model if isinstance(model, TokenCounter) else TokenCounter(model, prompt=prompt)
        limit = max_tokens if max_tokens is not None else self._counter.limit
        if limit is None:
            raise SettingsError("This model has no limit of its own: give max_tokens.")
        if self._counter.limit is not None and limit > self._counter.limit:
            raise SettingsError(f"max_tokens is {limit}, but the model reads only {self._counter.limit}. Lower it.")
        if max_chars is not None and max_chars < 1:
            raise SettingsError(f"max_chars is {max_chars}; it must be at least 1.")
        self.max_tokens = limit
        self.max_chars = max_chars

    def chunk(self, text: str) -> list[Chunk]:
        """Return the chunks of one text, in order; between them lies nothing but white space.

        Raises:
            DataError: the text is empty or not a string.
            SettingsError: a single character costs more than `max_tokens`.
        """
        check_text(text, "text")
        return list(self._merge(text, list(self._pieces(text, 0, len(text), 0))))

    def chunk_records(self, records: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return one record per chunk: the source record's metadata, and `text`, `start`, `end`, `tokens`,
        `chunk_index` (from 0) and `total_chunks` of that source.

        Raises:
            DataError: a record without text; names its position, from 0.
        """
        return [
            {
                **record,
                "text": chunk.text,
                "start": chunk.start,
                "end": chunk.end,
                "tokens": chunk.tokens,
                "chunk_index": index,
                "total_chunks": len(chunks),
            }
            for position, record in enumerate(records)
            for chunks in [self.chunk(check_text(record.get("text"), f"record {position}, text"))]
            for index, chunk in enumerate(chunks)
        ]

    def __call__(self, text: str) -> list[str]:
        """Return the chunks' texts: the form in which Dragon's Codex calls a chunker."""
        return [chunk.text for chunk in self.chunk(text)]

    def _fits(self, text: str) -> int:
        """Return the token count of a text that is within the limits, else 0."""
        if self.max_chars is not None and len(text) > self.max_chars:
            return 0
        tokens = self._counter.count(text)
        return tokens if tokens <= self.max_tokens else 0

    def _pieces(self, text: str, start: int, end: int, level: int) -> Iterator[tuple[int, int]]:
        start, end = _trim(text, start, end)
        if start == end:
            return
        if self._fits(text[start:end]):
            yield start, end
        elif level < len(_CUTS):
            for part in _parts(_CUTS[level], text, start, end):
                yield from self._pieces(text, *part, level + 1)
        elif end - start == 1:
            raise SettingsError(
                f"The character {text[start]!r} at {start} alone exceeds max_tokens={self.max_tokens} "
                f"(special tokens and prompt included). Raise max_tokens."
            )
        else:
            middle = (start + end) // 2
            yield from self._pieces(text, start, middle, level)
            yield from self._pieces(text, middle, end, level)

    def _merge(self, text: str, pieces: list[tuple[int, int]]) -> Iterator[Chunk]:
        index = 0
        while index < len(pieces):
            start, end = pieces[index]
            tokens = self._fits(text[start:end])
            while index + 1 < len(pieces) and (more := self._fits(text[start : pieces[index + 1][1]])):
                index += 1
                end, tokens = pieces[index][1], more
            yield Chunk(text[start:end], start, end, tokens)
            index += 1


def _trim(text: str, start: int, end: int) -> tuple[int, int]:
    piece = text[start:end]
    first = end - len(piece.lstrip())
    return first, max(first, start + len(piece.rstrip()))


def _parts(cut: re.Pattern[str], text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    for match in cut.finditer(text, start, end):
        yield start, match.start()
        start = match.end()
    yield start, end
