"""A codex's chunks as material for training pairs: pages, sentences, telling words, names."""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from dragon_finetune.errors import DataError
from dragon_finetune.records import read_json
from dragon_finetune.tokens.boundaries import sentences

_WORD = re.compile(r"[^\W_]+(?:['’\-][^\W_]+)*")
_TITLES = ("title", "page_name", "primary_name", "section", "heading", "chapter_title", "name")
_K1, _B = 1.5, 0.75  # of BM25 (Robertson & Zaragoza 2009)
# Words that tell English from other languages, and that no question is about.
ENGLISH = frozenset(
    "the of and a to in is was he that it his her for on are as with they at be this have from or had by not but what "
    "all were we when your can said there use an each which she do how their if will who him them been has would more "
    "did its into no my than about".split()
)


def tokens(text: str) -> list[str]:
    """Return the words of a text, without case."""
    return _WORD.findall(text.casefold())


@dataclass(frozen=True)
class Passage:
    """One chunk.

    Attributes:
        id: its `chunk_id`, or file and row.
        text: its text.
        page: what it is a part of: a wiki page, or a chapter of a book.
        title: of the page or chapter; "" if it has none.
        book: whether it is told in a book (it has a chapter) rather than explained in a wiki.
        source: the chunk's own `source`.
    """

    id: str
    text: str
    page: str
    title: str = ""
    book: bool = False
    source: str = ""

    @cached_property
    def sentences(self) -> list[str]:
        """The sentences, in order."""
        return [self.text[unit.start : unit.end] for unit in sentences(self.text)]


@dataclass(frozen=True)
class Entity:
    """A name of the domain: of an index entry, or of a wiki page."""

    name: str
    aliases: tuple[str, ...] = ()
    person: bool = False
    description: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """The name and the aliases."""
        return (self.name, *self.aliases)


@dataclass
class Corpus:
    """All passages, and what words tell them apart."""

    passages: list[Passage]
    entities: list[Entity] = field(default_factory=list)

    @cached_property
    def often(self) -> Counter[str]:
        """In how many passages each word occurs."""
        return Counter(word for passage in self.passages for word in set(tokens(passage.text)))

    @cached_property
    def pages(self) -> dict[str, list[int]]:
        """Page -> places of its passages, in order."""
        pages: dict[str, list[int]] = defaultdict(list)
        for place, passage in enumerate(self.passages):
            pages[passage.page].append(place)
        return dict(pages)

    @cached_property
    def english(self) -> bool:
        """Whether most of the text is English: only then questions are put in English words."""
        total = sum(self.often.values())
        common = sum(self.often[word] for word in ENGLISH)
        return total > 0 and common / total > 0.1

    @cached_property
    def _titled(self) -> dict[str, list[Passage]]:
        titled: dict[str, list[Passage]] = defaultdict(list)
        for passage in self.passages:
            titled[passage.title.casefold()].append(passage)
        return dict(titled)

    def passages_of(self, entity: Entity) -> list[Passage]:
        """Return the passages whose title is one of the entity's names."""
        return [passage for name in entity.names for passage in self._titled.get(name.casefold(), ())]

    def rarity(self, word: str) -> float:
        """Return the inverse document frequency of BM25."""
        count = self.often[word]
        return math.log(1 + (len(self.passages) - count + 0.5) / (count + 0.5))

    def telling_words(self, text: str) -> list[str]:
        """Return a text's words by BM25 weight, the most telling first, without those of a tenth of all passages."""
        most = max(2, len(self.passages) // 10)
        counts = Counter(tokens(text))
        length = sum(counts.values())
        mean = sum(self.often.values()) / max(1, len(self.passages))
        norm = _K1 * (1 - _B + _B * length / max(1.0, mean))
        weights = {
            word: self.rarity(word) * count * (_K1 + 1) / (count + norm)
            for word, count in counts.items()
            if self.often[word] <= most
        }
        return sorted(weights, key=lambda word: -weights[word])


def read_corpus(records: Iterable[tuple[str, Mapping[str, Any]]], indexes: Path | str | None = None) -> Corpus:
    """Return the corpus of chunk records, each with its place (for ids), and of the codex's indexes, if given.

    Raises:
        DataError: an index is no object of entries; names the file.
    """
    passages = [_passage(where, record) for where, record in records]
    entities = read_indexes(Path(indexes)) if indexes else []
    known = {entity.name.casefold() for entity in entities}
    for passage in passages:
        if passage.title and not passage.book and passage.title.casefold() not in known:
            known.add(passage.title.casefold())
            entities.append(Entity(passage.title))
    return Corpus(passages, entities)


def _passage(where: str, record: Mapping[str, Any]) -> Passage:
    title = next((str(record[name]) for name in _TITLES if record.get(name)), "")
    identity = str(record.get("chunk_id") or where)
    chapter = record.get("chapter_number", record.get("chapter_title"))
    book = chapter is not None
    if book:
        page = f"{record.get('source')}/{record.get('book_number', record.get('book_title'))}/{chapter}"
    else:
        page = str(record.get("filename") or record.get("source_file") or title or identity)
    return Passage(identity, record["text"], page, title, book, str(record.get("source", "")))


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
            found.append(_entity(str(name), entry, person="character" in file.name))
    return found


def _entity(name: str, entry: Mapping[str, Any], *, person: bool) -> Entity:
    main = str(entry.get("primary_name") or entry.get("page_name") or entry.get("name") or name).strip()
    aliases = entry.get("aliases")
    listed = [aliases] if isinstance(aliases, str) else aliases if isinstance(aliases, Sequence) else []
    distinct = dict.fromkeys(str(alias).strip() for alias in listed if str(alias).strip())
    others = tuple(alias for alias in distinct if alias.casefold() != main.casefold())
    return Entity(main, others, person, str(entry.get("overview") or entry.get("description") or ""))


def mentions(names: Sequence[str], text: str) -> str | None:
    """Return the first of the names that stands in the text as whole words, or None."""
    return next((name for name in names if name_pattern(name).search(text)), None)


def name_pattern(name: str) -> re.Pattern[str]:
    """Return the pattern of a name as whole words, in any case."""
    return re.compile(rf"(?<!\w){re.escape(name)}(?!\w)", re.IGNORECASE)


class NameFinder:
    """Which entities a text mentions, by one pass over the text's words."""

    def __init__(self, entities: Sequence[Entity]) -> None:
        self._by_first: dict[str, list[tuple[tuple[str, ...], int]]] = defaultdict(list)
        for place, entity in enumerate(entities):
            for name in entity.names:
                words = tuple(tokens(name))
                if words:
                    self._by_first[words[0]].append((words, place))

    def find(self, text: str) -> Iterator[int]:
        """Yield the places of the entities, each once, in the order of the text."""
        words = tokens(text)
        seen = set()
        for start, word in enumerate(words):
            for name, place in self._by_first.get(word, ()):
                if place not in seen and tuple(words[start : start + len(name)]) == name:
                    seen.add(place)
                    yield place
