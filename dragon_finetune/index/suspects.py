"""The models that may have made vectors which are not this encoder's, as far as they can be tried here."""

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

from dragon_finetune.embedding.embedder import FineTunedEmbedder
from dragon_finetune.errors import DragonFinetuneError
from dragon_finetune.model_place import EMBEDDED, locate_here, recorded_base


class Suspects:
    """Models to try on vectors that are not `embedder`'s; none is looked for before it is asked for.

    Args:
        embedder: whose options but for prompts they are tried with; never its trust in a model author's code.
        recorded: the name that the card of its folder gives: tried only if it lies on this machine.
        named: those that the person names; may come from the hub.
    """

    def __init__(self, embedder: FineTunedEmbedder, recorded: str | None, named: Iterable[str]) -> None:
        self._embedder, self._recorded, self._named = embedder, recorded, list(named)
        self._reasons: dict[str, str] = {}

    @cached_property
    def _opened(self) -> dict[str, FineTunedEmbedder]:
        places: dict[str, str | Path] = {name: name for name in self._named}
        name = self._recorded
        if name and name not in places:
            here = locate_here(name)
            if here is None:
                self._reasons[name] = "not on this machine, and what a card names is not fetched: name it with --other"
            else:
                places = {name: name if name == EMBEDDED else here, **places}
        opened = {}
        for name, place in places.items():
            changes = {"prompts": None, "on_overflow": "split", "trust_remote_code": False, "revision": None}
            other = self._embedder.like(place, **changes, dense_only=False)
            try:
                assert other.dimension
                opened[name] = other
            except DragonFinetuneError as error:
                self._reasons[name] = str(error)
        return opened

    @property
    def tried(self) -> list[str]:
        """Names of those that could be tried."""
        return list(self._opened)

    def of_width(self, dimension: int) -> dict[str, FineTunedEmbedder]:
        """Return name -> embedder of those that make vectors of `dimension` numbers, if need be by cutting theirs."""
        fitted = {name: _of_width(other, dimension) for name, other in self._opened.items()}
        return {name: other for name, other in fitted.items() if other is not None}

    def not_tried(self) -> str:
        """Return the end of a verdict: which could not be tried and why; empty if all could."""
        tried = self._opened  # finds the reasons
        return "".join(f" Not tried: {name} ({why})." for name, why in self._reasons.items() if name not in tried)


def _of_width(other: FineTunedEmbedder, dimension: int) -> FineTunedEmbedder | None:
    full, more = other.engine.dimension, other.joiner.more if other.joiner else 0
    if other.dimension == dimension:
        return other
    if dimension <= full:
        return other.like(truncate_dim=dimension, dense_only=True)
    return other.like(truncate_dim=dimension - more) if 0 < dimension - more <= full else None


def find_suspects(embedder: FineTunedEmbedder, others: Iterable[str]) -> Suspects:
    """Return the base that the folder of `embedder` records, and `others`."""
    return Suspects(embedder, recorded_base(embedder.folder.path), others)
