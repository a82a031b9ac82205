"""What an approximate search finds of what comparing everything finds."""

from dataclasses import dataclass
from typing import Any

TOP = 10
"""How many of both searches together are looked for."""


@dataclass(frozen=True)
class Recall:
    """What a search finds of what comparing everything finds, 0 to 1, means over `queries` of those it was asked.

    Attributes:
        near: of the nearest `depth` by the base.
        words: of the best `depth` by BM25.
        both: of the first ten of both together.
        width, champions, added: how wide it looks for that (`Neighbours`, `FarLexical`, `FarSearcher.depth`).
    """

    queries: int
    depth: int
    near: float
    words: float
    both: float
    width: int
    champions: int
    added: int

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as JSON-safe values."""
        return vars(self).copy()

    def __str__(self) -> str:
        return (
            f"approximate search, against comparing all for {self.queries} of its queries: recall@{self.depth} "
            f"{self.near:.3f} by the base, {self.words:.3f} by BM25; recall@{TOP} of both {self.both:.3f}"
        )
