"""What a corpus says of its words, as it is kept in a model folder: lexicon.json."""

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from dragon_finetune.errors import DataError, ModelError, SettingsError
from dragon_finetune.files import read_json, write_json
from dragon_finetune.lexical.words import words_of

DIMENSIONS, SHARE = 2048, 0.5
"""Defaults, chosen on four judged collections: docs/lexical.md."""
LEAST_DIMENSIONS, MOST_DIMENSIONS = 64, 16_384
MOST_SHARE = 0.9
_K1, _B = 1.5, 0.75  # BM25's usual ones


class Lexicon(BaseModel):
    """What is known of a corpus's words, and how they go into vectors; frozen.

    Attributes:
        passages: how many the corpus has.
        mean_length: words in one.
        frequencies: word -> in how many passages it stands, 1 to `passages`.
        endings: the language whose endings are taken off words, or None.
        dimensions: numbers in a sketch.
        seed: of the hash.
        share: how much the words have to say, 0 (nothing) to 0.9.
        reach: the size of a passage's sketch that counts as full.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    form: Literal[1] = 1
    passages: int = Field(ge=1)
    mean_length: float = Field(gt=0, allow_inf_nan=False)
    endings: Literal["english"] | None
    dimensions: int = Field(ge=LEAST_DIMENSIONS, le=MOST_DIMENSIONS)
    seed: int = Field(ge=0, lt=2**32)
    share: float = Field(ge=0, le=MOST_SHARE)
    reach: float = Field(gt=0, allow_inf_nan=False)
    frequencies: Mapping[str, int] = Field(min_length=1)

    @model_validator(mode="after")
    def _check_frequencies(self) -> "Lexicon":
        for word, passages in self.frequencies.items():
            if not 1 <= passages <= self.passages:
                raise ValueError(f"the word {word!r} stands in {passages} of {self.passages} passages")
        return self

    def words(self, text: str) -> list[str]:
        """Return the words of a text as the corpus's were taken."""
        return list(words_of(text, self.endings))

    @cached_property
    def places(self) -> dict[str, int]:
        """Word -> its place in `rarities`."""
        return {word: place for place, word in enumerate(self.frequencies)}

    @cached_property
    def idf(self) -> npt.NDArray[np.float64]:
        """How telling each word is, above 0; the last number is that of a word that is not known: of one seen once.

        ln(1 + (N - n + 0.5) / (n + 0.5)), Robertson & Zaragoza 2009 as Lucene has it.
        """
        seen = np.array([*self.frequencies.values(), 1], dtype=np.float64)
        idf: npt.NDArray[np.float64] = np.log1p((self.passages - seen + 0.5) / (seen + 0.5))
        return idf

    def saturated(self, counts: Any, length: Any) -> Any:
        """Return what BM25 makes of the times that words stand in a passage of `length` words, 0 to k1 + 1."""
        return counts * (_K1 + 1) / (counts + _K1 * (1 - _B + _B * length / self.mean_length))

    def save(self, file: Path) -> None:
        """Write it as JSON."""
        write_json(file, self.model_dump())

    @classmethod
    def load(cls, file: Path) -> "Lexicon":
        """Return what `save` wrote. Raises ModelError if it is damaged or was edited into nonsense; says where."""
        try:
            return cls.model_validate(read_json(file))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "it"
            raise ModelError(
                f"{file}: {where} is {_short(first['input'])}: {first['msg']}. Make it again with "
                "`dragon-finetune lexicon`."
            ) from None
        except DataError as error:
            raise ModelError(f"{error} Make it again with `dragon-finetune lexicon`.") from None


def _short(value: Any) -> str:
    return f"{json.dumps(value, default=str)[:60]}"


def check_settings(dimensions: int, share: float) -> None:
    """Raise SettingsError for dimensions or a share that no lexicon may have."""
    if not LEAST_DIMENSIONS <= dimensions <= MOST_DIMENSIONS:
        raise SettingsError(f"dimensions is {dimensions}; it is {LEAST_DIMENSIONS} to {MOST_DIMENSIONS}.")
    if not 0 <= share <= MOST_SHARE:
        raise SettingsError(f"share is {share}; it is 0 (the dense model alone) to {MOST_SHARE}.")
