"""Settings for a host that cuts by characters: from how dense the corpus really is in tokens."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

# Dragon's Codex's own proportion: OVERLAP_TOKENS 149 of TARGET_TOKENS 1495.
_OVERLAP_SHARE = 149 / 1495
# The host cuts what is longer than TARGET_TOKENS, and the last piece may hold little but the overlap: with this many
# characters at least it says something. (Since TARGET_TOKENS is MAX_TOKENS, only single paragraphs are ever cut.)
_LEAST_PIECE = 250
# Texts shorter than this say little of a chunk's density.
_TELLING_TOKENS = 32
# What has less than this share of the corpus's characters per token is no prose (hex, code), and would make all other
# chunks small.
_PROSE_SHARE = 0.5
# A host that counts characters cuts words in two, at both ends; each half may cost tokens that the word did not.
_CUT_WORDS = 4


@dataclass(frozen=True)
class Advice:
    """What Dragon's Codex should set, whose chunk sizes are these numbers multiplied, in characters.

    Attributes:
        max_tokens: MAX_TOKENS. With `chars_per_token` it allows no more characters than fit the limit in the densest
            passage, so it may be less than the limit.
        target_tokens: TARGET_TOKENS, the same: the host groups paragraphs up to MAX_TOKENS and cuts every group above
            TARGET_TOKENS, so that a lower one makes a scrap of each (HOST_CONTRACT 11).
        overlap_tokens: OVERLAP_TOKENS: the host's proportion or 250 characters, whichever is more, but at most half.
        chars_per_token: CHARS_PER_TOKEN, whole because the host reads it as an integer.
        mean_chars_per_token: what was measured, over the whole corpus.
        dense_chars_per_token: what was measured in its densest passage, but for those that are too dense.
        too_dense: number of passages with less than half of the mean; the host's chunks of them may exceed the limit.
    """

    max_tokens: int
    target_tokens: int
    overlap_tokens: int
    chars_per_token: int
    mean_chars_per_token: float
    dense_chars_per_token: float
    too_dense: int = 0

    def __str__(self) -> str:
        names = ("max_tokens", "target_tokens", "overlap_tokens", "chars_per_token")
        values = asdict(self)
        return "\n".join(f"{name.upper()}={values[name]}" for name in names)

    def lines(self) -> list[str]:
        """Return the lines that show it, and what it was taken from."""
        lines = [
            f"For a host that cuts by characters ({self.mean_chars_per_token:.2f} characters per token, "
            f"{self.dense_chars_per_token:.2f} in the densest passage):",
            str(self),
        ]
        if self.too_dense:
            lines.append(
                f"{self.too_dense:,} passages are too dense for that (less than half the mean: hex, code?), and the "
                "host's chunks of them may exceed the limit: break them up, or leave them out."
            )
        return lines


class DensityTally:
    """Characters per token of a stream of texts, held as counts per density in steps of 0.01.

    Args:
        room: tokens that a chunk has beside special tokens and prompt. A text with more is looked at in passages of
            about so many, for the host will cut it, and its parts may be denser than the whole.
        count: tokens of each of several texts, without special tokens and prompt.
    """

    def __init__(self, room: int, count: Callable[[Sequence[str]], list[int]]) -> None:
        self._room, self._count = room - _CUT_WORDS, count
        self._characters = self._tokens = 0
        self._telling: dict[float, int] = {}

    def add(self, text: str, tokens: int) -> None:
        """Count one text; `tokens` without special tokens and prompt."""
        self._characters += len(text)
        self._tokens += tokens
        if tokens <= max(self._room, _TELLING_TOKENS):
            self._note(len(text), tokens)
            return
        size = max(1, len(text) * max(self._room, _TELLING_TOKENS) // tokens)
        starts = [*range(0, len(text) - size, max(1, size // 2)), len(text) - size]
        passages = [text[start : start + size] for start in starts]
        for each in self._count(passages):
            self._note(size, each)

    def _note(self, characters: int, tokens: int) -> None:
        if tokens >= _TELLING_TOKENS // 2:
            density = int(100 * characters / tokens) / 100
            self._telling[density] = self._telling.get(density, 0) + 1

    def advice(self) -> Advice | None:
        """Return the settings, or None where nothing was counted or a chunk has no room at all."""
        if not self._tokens or self._room < 1:
            return None
        mean = self._characters / self._tokens
        prose = [density for density in self._telling if density >= _PROSE_SHARE * mean]
        dense = min([*prose, mean])
        chars_per_token = max(1, int(mean))
        most = max(1, int(self._room * dense) // chars_per_token)
        overlap = min(max(int(most * _OVERLAP_SHARE), -(-_LEAST_PIECE // chars_per_token)), most // 2)
        too_dense = sum(count for density, count in self._telling.items() if density < _PROSE_SHARE * mean)
        return Advice(most, most, overlap, chars_per_token, mean, dense, too_dense)
