"""Unknown tokens: what a tokenizer has no pieces for, and so hides from the model as one and the same token."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tokenizers import Tokenizer

MOSTLY = 0.5
"""Share of a text's characters, white space aside, behind unknown tokens from which the text counts as mostly unknown.
Above a half the model sees less of the text than it does not; two such texts may well have the same vector."""
WORST = 5


class Unknown(NamedTuple):
    """Unknown tokens of a text, and the share of its characters, white space aside, that they stand for: 0 to 1."""

    tokens: int
    share: float


@dataclass(frozen=True, order=True)
class UnknownText:
    """A text of which a share of the characters, 0 to 1, is unknown. `where` is its place in the input."""

    share: float
    where: str
    preview: str


@dataclass
class UnknownAudit:
    """What of one field is hidden from the model by unknown tokens.

    Attributes:
        texts: how many texts have any.
        mostly: how many texts are mostly unknown (`MOSTLY`).
        tokens: unknown tokens, and `share` of all tokens that they are, special tokens and prompt included.
        worst: the five texts of which the most is unknown, the most first.
    """

    texts: int = 0
    mostly: int = 0
    tokens: int = 0
    share: float = 0.0
    worst: list[UnknownText] = field(default_factory=list)

    def add(self, unknown: Unknown, where: str, text: str) -> None:
        """Count a text that has unknown tokens."""
        self.texts += 1
        self.mostly += unknown.share > MOSTLY
        self.tokens += unknown.tokens
        shown = UnknownText(unknown.share, where, " ".join(text[:200].split())[:60])
        # Of equal shares the first is kept: sorting is stable.
        self.worst = sorted([*self.worst, shown], key=lambda each: -each.share)[:WORST]

    def lines(self) -> list[str]:
        """Return the lines that show it: none where nothing is unknown."""
        if not self.texts:
            return []
        return [
            f"  unknown to the tokenizer: {self.tokens:,} tokens ({self.share:.1%}) in {self.texts:,} texts, "
            f"{self.mostly:,} of them mostly; the model sees the same [UNK] for each",
            *(f"    {text.share:>7.0%}  {text.where}: {text.preview}" for text in self.worst),
        ]


class UnknownFinder:
    """Finds unknown tokens in texts. A tokenizer of bytes has none.

    Args:
        tokenizer: neither truncating nor padding.
        prompt: goes before each text, and is not looked at.
    """

    def __init__(self, tokenizer: Tokenizer, prompt: str) -> None:
        self._tokenizer, self._prompt = tokenizer, prompt
        self._id = _unknown_id(tokenizer)
        self._in_prompt = self._count(tokenizer.encode(prompt)) if prompt else 0

    def find(self, texts: Sequence[str], encodings: Sequence[Any]) -> Iterator[Unknown | None]:
        """Yield for each text, whose encoding is at hand, what is unknown of it: mostly nothing."""
        for text, encoding in zip(texts, encodings, strict=True):
            unknown = self._count(encoding) - self._in_prompt
            yield Unknown(unknown, self._share(text)) if unknown > 0 else None

    def _count(self, encoding: Any) -> int:
        return 0 if self._id is None else int(encoding.ids.count(self._id))

    def _share(self, text: str) -> float:
        # Only now, for few texts: where each token stands costs more than which it is. What no known token stands for
        # is unseen: what is unknown, and the marks that were taken off it before.
        encoding = self._tokenizer.encode(self._prompt + text)
        seen = [False] * len(text)
        for token, (low, high) in zip(encoding.ids, encoding.offsets, strict=True):
            low, high = (max(place - len(self._prompt), 0) for place in (low, high))
            if token != self._id:
                seen[low:high] = [True] * (high - low)
        visible = [place for place, character in enumerate(text) if not character.isspace()]
        return sum(not seen[place] for place in visible) / len(visible)


def _unknown_id(tokenizer: Tokenizer) -> int | None:
    model = json.loads(tokenizer.to_str())["model"]
    if model.get("unk_id") is not None:
        return int(model["unk_id"])
    token = model.get("unk_token")
    return tokenizer.token_to_id(token) if token else None
