"""One chunk of a text."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a source text: `text == source[start:end]` (characters, half open); `tokens` as the model counts."""

    text: str
    start: int
    end: int
    tokens: int
