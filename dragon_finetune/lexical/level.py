"""The level of distances, kept by one more coordinate: a constant whose sign on queries is chosen.

It changes a cosine to (1 - w) * cosine + w or - w, so the ranking stays as it is.
"""

from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dragon_finetune.errors import DataError, ModelError
from dragon_finetune.files import read_json, write_json
from dragon_finetune.lexical.joining import Vectors

_MOST = 0.95


class Level(BaseModel):
    """The coordinate: its weight `w`, 0 to 0.95, and whether it brings queries nearer to documents (1) or not (-1)."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    weight: float = Field(ge=0, le=_MOST)
    sign: Literal[1, -1] = 1

    def apply(self, vectors: Vectors, role: str | None) -> Vectors:
        """Return unit vectors with the coordinate, (texts, dimension + 1).

        Texts without a role are compared with their like, so theirs is 0: their cosines stay as they are.
        """
        weight = 0.0 if role is None else self.weight
        sign = self.sign if role == "query" else 1
        constant = np.full((len(vectors), 1), sign * np.sqrt(weight), dtype=np.float32)
        return np.concatenate([np.float32(np.sqrt(1 - weight)) * vectors, constant], axis=1)

    def save(self, file: Path) -> None:
        """Write it as JSON."""
        write_json(file, self.model_dump())

    @classmethod
    def load(cls, file: Path) -> "Level":
        """Return what `save` wrote. Raises ModelError if it is damaged or was edited into nonsense."""
        try:
            return cls.model_validate(read_json(file))
        except (ValidationError, DataError) as error:
            raise ModelError(f"{file} holds no level of distances ({error}). Make the folder again.") from None


def level_between(native: Any, wanted: Any) -> Level:
    """Return the level that brings cosines `native` nearest to `wanted` on the whole: their means become the same.

    Args:
        native: cosines of queries to what they found, any shape.
        wanted: the cosines to have in their place.
    """
    now, then = float(np.mean(native)), float(np.mean(wanted))
    sign: Literal[1, -1] = 1 if then >= now else -1
    weight = (then - now) / (sign - now) if abs(sign - now) > 1e-9 else 0.0
    return Level(weight=float(np.clip(weight, 0, _MOST)), sign=sign)
