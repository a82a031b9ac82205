"""Chunks that never exceed a token limit, counted from the final string with special tokens and prompt."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dragon_finetune.errors import SettingsError
from dragon_finetune.model_folder import ModelFolder, Role
from dragon_finetune.text import check_text
from dragon_finetune.tokens.boundaries import Level, Unit, sentences
from dragon_finetune.tokens.chunk import Chunk
from dragon_finetune.tokens.counting import TokenCounter, blocks
from dragon_finetune.tokens.planning import Planner
from dragon_finetune.tokens.words import clauses_and_words, graphemes

# Texts are counted together up to this size: all cores busy, memory bounded.
_BLOCK_TEXTS, _BLOCK_CHARS = 4096, 1 << 20
# A unit this many times longer in characters than the budget in tokens is divided before it is counted at all.
_SURELY_TOO_LONG = 8


class TokenChunker:
    """Return chunks whose token count never exceeds `max_tokens`.

    Cuts are made at headings, else between paragraphs, sentences, clauses, words, and only then inside a word. The
    last two chunks share what is left evenly. Chunks lie in order; between them is nothing but white space.

    Args:
        model: folder, hub name, "embedded", an open ModelFolder, a tokenizer, or a TokenCounter (whose prompt counts).
        max_tokens: the limit, special tokens and prompt included; default: the model's own.
        max_chars: a second limit, in characters; default none.
        min_chars: characters per chunk at least (default 0), wherever the limits and the text's own length allow it.
        overlap_tokens: how many tokens at most, as they stand in the text, a chunk repeats of the one before, inside
            the limit; from a sentence's start where one is near enough.
        prompt: the role whose prompt of the model counts with each chunk, or None.

    Raises:
        SettingsError: no limit is known; it exceeds the model's; or it does not exceed what special tokens, prompt
            and overlap cost.
    """

    def __init__(
        self,
        model: "str | Path | ModelFolder | TokenCounter | Any",
        *,
        max_tokens: int | None = None,
        max_chars: int | None = None,
        min_chars: int = 0,
        overlap_tokens: int = 0,
        prompt: Role | None = "document",
    ) -> None:
        self._counter = model if isinstance(model, TokenCounter) else TokenCounter(model, prompt=prompt)
        limit = max_tokens if max_tokens is not None else self._counter.limit
        if limit is None:
            raise SettingsError("This model has no limit of its own: give max_tokens.")
        if self._counter.limit is not None and limit > self._counter.limit:
            raise SettingsError(f"max_tokens is {limit}, but the model reads only {self._counter.limit}. Lower it.")
        if max_chars is not None and max_chars < max(1, 2 * min_chars):
            raise SettingsError(f"max_chars is {max_chars}; it must be at least 1, and at least twice min_chars.")
        self.max_tokens, self.overlap_tokens = limit, overlap_tokens
        self.max_chars, self.min_chars = max_chars, min_chars
        self._budget = limit - self._counter.overhead
        # Longer units are divided although they fit: so that an overlap, or a short neighbour, can take a part of them.
        self._movable = overlap_tokens or (self._budget // 2 if min_chars else self._budget)
        if not 0 <= overlap_tokens < self._budget:
            raise SettingsError(
                f"max_tokens={limit} leaves {self._budget} tokens beside special tokens and prompt, which must be more "
                f"than overlap_tokens={overlap_tokens} (0 or more). Raise max_tokens or lower overlap_tokens."
            )

    def chunk(self, text: str) -> list[Chunk]:
        """Return the chunks of one text, in order.

        Raises:
            DataError: the text is empty, not a string, or holds a lone surrogate.
            SettingsError: a single character costs more than the limit allows.
        """
        return next(self.chunk_many([text]))

    def chunk_many(self, texts: Iterable[str]) -> Iterator[list[Chunk]]:
        """Yield each text's chunks, in order; `texts` may be longer than memory. Raises as `chunk`."""
        checked = (check_text(text, f"text {index}") for index, text in enumerate(texts))
        for block in blocks(checked, _BLOCK_TEXTS, _BLOCK_CHARS):
            yield from self._chunk_block(block)

    def chunk_records(self, records: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
        """Yield one record per chunk: the source record's metadata, and `text`, `start`, `end`, `tokens`,
        `chunk_index` (from 0) and `total_chunks` of that source. A `chunk_id` that several pieces would share gets
        `#` and the piece's number behind it.

        Raises:
            DataError: a record without text; names its position, from 0.
        """
        kept, read = itertools.tee(records)
        for record, chunks in zip(kept, self.chunk_many(record.get("text", "") for record in read), strict=False):
            for index, chunk in enumerate(chunks):
                own = {"chunk_id": f"{record['chunk_id']}#{index}"} if record.get("chunk_id") and chunks[1:] else {}
                yield {
                    **record,
                    **own,
                    "text": chunk.text,
                    "start": chunk.start,
                    "end": chunk.end,
                    "tokens": chunk.tokens,
                    "chunk_index": index,
                    "total_chunks": len(chunks),
                }

    def __call__(self, text: str) -> list[str]:
        """Return the chunks' texts: the form in which Dragon's Codex calls a chunker."""
        return [chunk.text for chunk in self.chunk(text)]

    def _chunk_block(self, texts: Sequence[str]) -> Iterator[list[Chunk]]:
        divided = [list(self._divide_long(text, sentences(text))) for text in texts]
        counts = self._count_units(texts, divided)
        for text, units, tokens in zip(texts, divided, counts, strict=True):
            chunks = self._assemble(text, *self._refine(text, units, tokens))
            # A control character alone, which Python counts as white space and tokenizers do not, is no text.
            yield [chunk for chunk in chunks if not chunk.text.isspace()]

    def _divide_long(self, text: str, units: Iterable[Unit]) -> Iterator[Unit]:
        surely = _SURELY_TOO_LONG * self._budget
        for unit in units:
            if unit.end - unit.start <= surely:
                yield unit
                continue
            for word in clauses_and_words(text, unit):
                if word.end - word.start <= surely:
                    yield word
                else:
                    yield from graphemes(text, word, max(1, self._budget // 4))

    def _count_units(self, texts: Sequence[str], divided: Sequence[Sequence[Unit]]) -> list[list[int]]:
        """Return each unit's tokens as they are in the middle of a text: with the white space before it."""
        flat = iter(
            self._counter.bare_counts(
                [text[gap:end] for text, units in zip(texts, divided, strict=True) for gap, _, end, _ in units]
            )
        )
        return [list(itertools.islice(flat, len(units))) for units in divided]

    def _refine(self, text: str, units: list[Unit], counts: list[int]) -> tuple[list[Unit], list[int]]:
        """Return the units, those over the budget divided until they fit, with their counts."""
        while True:
            finer = [self._divide(text, unit, tokens) for unit, tokens in zip(units, counts, strict=True)]
            if not any(finer):
                return units, counts
            fresh = iter(self._count_units([text], [[part for parts in finer for part in parts]])[0])
            counts = [
                tokens
                for parts, old in zip(finer, counts, strict=True)
                for tokens in (itertools.islice(fresh, len(parts)) if parts else [old])
            ]
            units = [part for parts, unit in zip(finer, units, strict=True) for part in parts or [unit]]

    def _divide(self, text: str, unit: Unit, tokens: int) -> list[Unit]:
        """Return the parts of a unit that does not fit, or that is too long to be overlap; else nothing."""
        length = unit.end - unit.start
        fits = tokens <= self._budget and (self.max_chars is None or length <= self.max_chars)
        if fits and tokens <= self._movable:
            return []
        words = list(clauses_and_words(text, unit))
        if len(words) > 1:
            return words
        return [] if fits or self._fits_at_a_start(text, unit) else self._divide_word(text, unit)

    def _fits_at_a_start(self, text: str, unit: Unit) -> bool:
        """Tell whether a word too dear with the white space before it fits where a chunk begins, without it."""
        length = unit.end - unit.start
        if length > 1 and (unit.start - unit.gap < 2 or length > (self.max_chars or length)):
            return False
        return self._counter.bare_counts([text[unit.start : unit.end]])[0] <= self._budget

    def _divide_word(self, text: str, unit: Unit) -> list[Unit]:
        length = unit.end - unit.start
        if length == 1:
            raise SettingsError(
                f"The character {text[unit.start]!r} at {unit.start} alone exceeds max_tokens={self.max_tokens} "
                "(special tokens and prompt included). Raise max_tokens."
            )
        return list(graphemes(text, unit, min(length // 2, max(1, self._budget // 4))))

    def _assemble(self, text: str, units: list[Unit], counts: list[int]) -> list[Chunk]:
        exact = self._counter.additive and not any(unit.level == Level.INSIDE for unit in units)
        if not exact and (whole := self._try_whole(text, units, counts)):
            return [whole]
        # Where counts do not add up, a chunk may come out a token or two dearer than its units.
        budget = self._budget if exact else max(self._budget - 2, 1)
        planner = Planner(
            units,
            counts,
            budget,
            max_chars=self.max_chars,
            min_chars=self.min_chars,
            overlap=self.overlap_tokens,
        )
        spans = planner.spans()
        places = [(units[first].start, units[fresh].start, units[end - 1].end) for first, fresh, end in spans]
        if not exact:
            return self._recount(text, places)
        tokens = [planner.tokens(span.first, span.end) + self._counter.overhead for span in spans]
        return [
            Chunk(text[start:end], start, end, number) for (start, _, end), number in zip(places, tokens, strict=True)
        ]

    def _try_whole(self, text: str, units: list[Unit], counts: list[int]) -> Chunk | None:
        start, end = units[0].start, units[-1].end
        if sum(counts) > 2 * self._budget or (self.max_chars is not None and end - start > self.max_chars):
            return None
        tokens = self._counter.full_counts([text[start:end]])[0]
        return Chunk(text[start:end], start, end, tokens) if tokens <= self.max_tokens else None

    def _recount(self, text: str, places: list[tuple[int, int, int]]) -> list[Chunk]:
        """Return the chunks with their real counts; what turns out too long loses its overlap, then is halved."""
        done: list[Chunk] = []
        while places:
            counts = self._counter.full_counts([text[start:end] for start, _, end in places])
            again = []
            for (start, fresh, end), tokens in zip(places, counts, strict=True):
                if tokens <= self.max_tokens:
                    done.append(Chunk(text[start:end], start, end, tokens))
                elif start < fresh:
                    again.append((fresh, fresh, end))
                else:
                    again += [(part, part, stop) for part, stop in self._halve(text, start, end)]
            places = again
        return _without_contained(done)

    def _halve(self, text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
        unit = Unit(start, start, end, Level.INSIDE)
        parts = list(clauses_and_words(text, unit))
        if len(parts) == 1:
            parts = self._divide_word(text, unit)
        middle = min(range(1, len(parts)), key=lambda cut: abs(2 * parts[cut].start - start - end))
        yield start, parts[middle - 1].end
        yield parts[middle].start, end


def _without_contained(chunks: Iterable[Chunk]) -> list[Chunk]:
    """Return chunks in order, less those inside another: a halved chunk may lie in its neighbour's overlap."""
    kept: list[Chunk] = []
    for chunk in sorted(chunks, key=lambda chunk: (chunk.start, chunk.end)):
        if kept and chunk.start == kept[-1].start:
            kept.pop()
        if not kept or chunk.end > kept[-1].end:
            kept.append(chunk)
    return kept
