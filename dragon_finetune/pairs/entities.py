"""Names of the domain: from the codex's indexes, and found in texts."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dragon_finetune.errors import DataError
from dragon_finetune.files import read_json
from dragon_finetune.pairs.words import tokens


@dataclass(frozen=True)
class Entity:
    """A name of the domain: of an index entry, or of a wiki page."""

    name: str
    aliases: tuple[str, ...] = ()
    description: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """The name and the aliases."""
        return (self.name, *self.aliases)


def read_indexes(folder: Path) -> list[Entity]:
    """Return the entities of `*_index.json` files: one object each, name -> entry (HOST_CONTRACT 10).

    Any field of an entry may be missing; entries of files that do not exist any more count all the same.

    Raises:
        DataError: the folder has no index, or one is not such an object; names the file.
    """
    files = sorted(folder.glob("*_index.json"))
    if not files:
        raise DataError(f"{folder} holds no *_index.json. Give the folder of the codex's indexes, or leave it out.")
    found = []
    for file in files:
        content = read_json(file)
        if not isinstance(content, Mapping):
            raise DataError(f"{file}: expected an object of entries by name, found {type(content).__name__}.")
        for name, entry in content.items():
            entry = entry if isinstance(entry, Mapping) else {}
            found.append(_entity(str(name), entry))
    return found


def _entity(name: str, entry: Mapping[str, Any]) -> Entity:
    main = str(entry.get("primary_name") or entry.get("page_name") or entry.get("name") or name).strip()
    aliases = entry.get("aliases")
    listed = [aliases] if isinstance(aliases, str) else aliases if isinstance(aliases, Sequence) else []
    distinct = dict.fromkeys(str(alias).strip() for alias in listed if str(alias).strip())
    others = tuple(alias for alias in distinct if alias.casefold() != main.casefold())
    return Entity(main, others, str(entry.get("overview") or entry.get("description") or ""))


class NameFinder:
    """Which entities a text mentions, by one pass over the text's words."""

    def __init__(self, entities: Sequence[Entity]) -> None:
        self._places: dict[tuple[str, ...], list[int]] = defaultdict(list)
        self._lengths: dict[str, set[int]] = defaultdict(set)
        for place, entity in enumerate(entities):
            for name in entity.names:
                words = tuple(tokens(name))
                if words:
                    self._places[words].append(place)
                    self._lengths[words[0]].add(len(words))

    def find(self, text: str) -> Iterator[int]:
        """Yield the places of the entities, each once, in the order of the text."""
        words = tokens(text)
        seen: set[int] = set()
        for start, word in enumerate(words):
            # Names that begin alike ("house 1", "house 2", ...) are looked up, not gone through.
            names = (tuple(words[start : start + length]) for length in self._lengths.get(word, ()))
            for place in sorted({place for name in names for place in self._places.get(name, ())} - seen):
                seen.add(place)
                yield place
