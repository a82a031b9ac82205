"""A codex's chunks as material for training pairs: pages, sentences, telling words."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from dragon_finetune.pairs.entities import Entity, read_indexes
from dragon_finetune.pairs.words import tokens
from dragon_finetune.tokens.boundaries import sentences

_TITLES = ("title", "page_name", "primary_name", "section", "heading", "chapter_title", "name")
_K1, _B = 1.5, 0.75  # of BM25 (Robertson & Zaragoza 2009)


@dataclass(frozen=True)
class Passage:
    """One chunk.

    Attributes:
        id: its `chunk_id`, or file and row.
        text: its text.
        page: what it is a part of: a wiki page, or a chapter of a book.
        title: of the page or chapter; "" if it has none.
        book: whether it is told in a book (it has a chapter) rather than explained in a wiki.
    """

    id: str
    text: str
    page: str
    title: str = ""
    book: bool = False

    @property
    def sentences(self) -> list[str]:
        """The sentences, in order; not kept, for they take more room than the text."""
        return [self.text[unit.start : unit.end] for unit in sentences(self.text)]


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
    def _mean_words(self) -> float:
        """How many different words a passage has."""
        return sum(self.often.values()) / max(1, len(self.passages))

    @cached_property
    def pages(self) -> dict[str, list[int]]:
        """Page -> places of its passages, in order."""
        pages: dict[str, list[int]] = defaultdict(list)
        for place, passage in enumerate(self.passages):
            pages[passage.page].append(place)
        return dict(pages)

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
        norm = _K1 * (1 - _B + _B * length / max(1.0, self._mean_words))
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
    return Passage(identity, record["text"], page, title, book)
