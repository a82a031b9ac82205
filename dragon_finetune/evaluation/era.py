"""Which era of the host an answers file is from, by its name or by what it holds: by its rules it is judged."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from dragon_finetune.errors import DataError, SettingsError

# All of this is HOST_CONTRACT 5 and 10.
_NAME_A = "answers_baseline_retrieval_semantic_search.json"
_NAME_B = re.compile(r"answers_.+_retrieval\.json")
_COLLECTIONS_B = ("books", "characters")  # era A has narrative and reference
_KEYS_B = ("sample_citation", "key_challenges")  # of its questions
_KEYS_A = ("routing_strategy", "classification_confidence", "temporal_filter_applied")


@dataclass(frozen=True)
class Era:
    """An era, "a" or "b", and what tells it; `sure` is False where nothing does."""

    name: Literal["a", "b"]
    because: str
    sure: bool = True

    def __str__(self) -> str:
        return f"era {self.name.upper()}: {self.because}"

    def to_dict(self) -> dict[str, str]:
        """Return what a report says of it: `era`, `era_because`."""
        return {"era": self.name, "era_because": self.because}


UNTOLD = Era("a", "nothing in it tells; --era b judges by the newer host's rules", sure=False)
OWN_RETRIEVAL = Era("a", "our own retrieval has the form of era A's answers", sure=False)


def asked_for(name: str) -> Era:
    """Return the era that somebody asked for by name.

    Raises:
        SettingsError: there is no such era.
    """
    if name not in ("a", "b"):
        raise SettingsError(f"--era is {name!r}; it is a or b.")
    return Era("b" if name == "b" else "a", f"--era {name} says so")


def era_of(path: Path | str, content: Mapping[str, Any]) -> Era:
    """Return the era of an answers file."""
    name = Path(path).name
    if name == _NAME_A:
        return Era("a", "its name is that of era A's answers")
    records = [record for record in content.get("results") or () if isinstance(record, Mapping)]
    used = {each for part in (content.get("metadata"), *records) for each in _collections(part)}
    if found := next((each for each in _COLLECTIONS_B if each in used), None):
        return Era("b", f"its collections_used has {found}, which era A has not")
    keys = {key for record in records for key in record}
    if found := next((key for key in _KEYS_B if key in keys), None):
        return Era("b", f"its records have {found}, as era B's questions do")
    if _NAME_B.fullmatch(name):
        return Era("b", "its name is that of era B's answers, answers_<phase>_retrieval.json")
    if found := next((key for key in _KEYS_A if key in keys), None):
        return Era("a", f"its records have {found}, as era A's do")
    return UNTOLD


def _collections(part: Any) -> Sequence[Any]:
    used = part.get("collections_used") if isinstance(part, Mapping) else None
    return [each for each in used if isinstance(each, str)] if isinstance(used, list) else []


def agreed(eras: Mapping[str, Era]) -> Era:
    """Return the one era by which several runs are judged, by their sources: the one that any of them tells.

    Raises:
        DataError: the runs are of different eras; names one of each.
    """
    told = {each.name: (source, each) for source, each in eras.items() if each.sure}
    if len(told) > 1:
        said = "; ".join(f"{source} is of {era}" for source, era in told.values())
        raise DataError(f"{said}. They are scored by different rules: give --era a or --era b to judge both alike.")
    return next((era for _, era in told.values()), next(iter(eras.values())))
