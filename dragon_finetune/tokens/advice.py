"""Settings for a host that cuts by characters: from how dense the corpus really is in tokens."""

from dataclasses import asdict, dataclass

# Dragon's Codex's own proportions: TARGET_TOKENS 1495 of MAX_TOKENS 1739, OVERLAP_TOKENS 149 of 1495.
_TARGET_SHARE = 1495 / 1739
_OVERLAP_SHARE = 149 / 1495
# Texts shorter than this say little of a chunk's density.
_TELLING_TOKENS = 32
_DENSEST_SHARE = 0.01
# A host that counts characters cuts words in two, at both ends; each half may cost tokens that the word did not.
_CUT_WORDS = 4


@dataclass(frozen=True)
class Advice:
    """What Dragon's Codex should set, whose chunk sizes are these numbers multiplied, in characters.

    Attributes:
        max_tokens: MAX_TOKENS. With `chars_per_token` it allows no more characters than fit the limit in the densest
            1 % of the corpus, so it may be less than the limit.
        target_tokens: TARGET_TOKENS, in the host's own proportion to `max_tokens`.
        overlap_tokens: OVERLAP_TOKENS, likewise.
        chars_per_token: CHARS_PER_TOKEN, whole because the host reads it as an integer.
        mean_chars_per_token: what was measured, over the whole corpus.
        dense_chars_per_token: what was measured at the densest 1 % of its texts.
    """

    max_tokens: int
    target_tokens: int
    overlap_tokens: int
    chars_per_token: int
    mean_chars_per_token: float
    dense_chars_per_token: float

    def __str__(self) -> str:
        names = ("max_tokens", "target_tokens", "overlap_tokens", "chars_per_token")
        values = asdict(self)
        return "\n".join(f"{name.upper()}={values[name]}" for name in names)


class DensityTally:
    """Characters per token of a stream of texts, held as counts per density rounded to 0.01."""

    def __init__(self) -> None:
        self._characters = self._tokens = 0
        self._telling: dict[float, int] = {}

    def add(self, characters: int, tokens: int) -> None:
        """Count one text; `tokens` without special tokens and prompt."""
        self._characters += characters
        self._tokens += tokens
        if tokens >= _TELLING_TOKENS:
            density = round(characters / tokens, 2)
            self._telling[density] = self._telling.get(density, 0) + 1

    def advice(self, room: int) -> Advice | None:
        """Return the settings for chunks of at most `room` tokens beside special tokens and prompt, or None."""
        room -= _CUT_WORDS
        if not self._tokens or room < 1:
            return None
        mean = self._characters / self._tokens
        dense = min(self._densest(), mean)
        chars_per_token = max(1, int(mean))
        max_tokens = max(1, int(room * dense) // chars_per_token)
        target = max(1, int(max_tokens * _TARGET_SHARE))
        return Advice(max_tokens, target, int(target * _OVERLAP_SHARE), chars_per_token, mean, dense)

    def _densest(self) -> float:
        wanted = _DENSEST_SHARE * sum(self._telling.values())
        seen = 0
        for density in sorted(self._telling):
            seen += self._telling[density]
            if seen >= wanted:
                return density
        return float("inf")
