"""Sources of training pairs that need no model: what people might ask, and the passage that answers."""

import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dragon_finetune.evaluation.questions import load_questions
from dragon_finetune.records import Pair
from dragon_finetune.training.corpus import Corpus, Entity, NameFinder, Passage, name_pattern, tokens

HYBRID = "hybrid"
"""The source that labels by BM25 and the base together (`labelling`)."""
FEWEST_WORDS = 12  # of a passage that is left when the query has been cut out of it
_NUMBERING = re.compile(r"^(?:chapter\s+)?(?:[ivxlc]+|\d+)[.:)]\s+(?=\S)", re.IGNORECASE)  # "IV: The Road"
_DEFAULT_LENGTHS = (4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 16)


@dataclass(frozen=True)
class QueryStyle:
    """How long queries are, and how many are questions; nothing of what they say.

    Attributes:
        lengths: numbers of words to draw from.
        questions: share of queries that end with a question mark, 0 to 1.
    """

    lengths: tuple[int, ...] = _DEFAULT_LENGTHS
    questions: float = 0.5

    @classmethod
    def of_file(cls, path: Path | str) -> "QueryStyle":
        """Return the style of a questions file; only words are counted and last characters looked at."""
        asked = [str(question["question"]) for question in load_questions(path)]
        return cls(
            lengths=tuple(sorted(len(text.split()) for text in asked)),
            questions=sum(text.rstrip().endswith("?") for text in asked) / len(asked),
        )


Source = Callable[[Corpus, random.Random, QueryStyle], Iterator[Pair]]


def _pair(source: str, query: str, positive: str, passage: Passage) -> Pair:
    metadata = {"source": source, "positive_chunk_id": passage.id, "page": passage.page}
    return Pair(" ".join(query.split()), positive.strip(), (), metadata)


def cloze(corpus: Corpus, dice: random.Random, style: QueryStyle) -> Iterator[Pair]:
    """Yield a sentence of each passage with the passage without it (inverse cloze: Lee et al. 2019, 1906.00300)."""
    for passage in corpus.passages:
        usable = [text for text in passage.sentences if 4 <= len(text.split()) <= 40]
        rest_is_enough = len(passage.text.split()) >= FEWEST_WORDS + 8
        if len(passage.sentences) < 2 or not usable or not rest_is_enough:
            continue
        wanted = dice.choice(style.lengths)
        # Of the sentences nearest to the wanted length one at random.
        nearest = sorted(usable, key=lambda text: abs(len(text.split()) - wanted))[:3]
        sentence = dice.choice(nearest)
        rest = passage.text.replace(sentence, " ", 1)
        if len(rest.split()) >= FEWEST_WORDS:
            yield _pair("cloze", _shortened(sentence, 2 * wanted, dice), rest, passage)


def _shortened(sentence: str, most: int, dice: random.Random) -> str:
    words = sentence.split()
    if len(words) <= max(most, 6):
        return sentence
    start = dice.randrange(len(words) - most + 1)
    return " ".join(words[start : start + most])


def crop(corpus: Corpus, dice: random.Random, style: QueryStyle) -> Iterator[Pair]:
    """Yield some words of one passage with the next or the previous passage of the same page, or its other half."""
    for places in corpus.pages.values():
        for number, place in enumerate(places):
            passage = corpus.passages[place]
            others = [places[near] for near in (number - 1, number + 1) if 0 <= near < len(places)]
            length = dice.choice(style.lengths)
            if others:
                other = corpus.passages[dice.choice(others)]
                query, positive, of = _words(passage.text, length, dice), other.text, other
            else:
                query, positive, of = *_halved(passage, length, dice), passage
            if query and len(positive.split()) >= FEWEST_WORDS:
                yield _pair("crop", query, positive, of)


def _words(text: str, count: int, dice: random.Random) -> str:
    words = text.split()
    start = dice.randrange(max(1, len(words) - count + 1))
    return " ".join(words[start : start + count]).strip(",;:—–-“”\"'()")


def _halved(passage: Passage, length: int, dice: random.Random) -> tuple[str, str]:
    parts = passage.sentences
    if len(parts) < 2:
        return "", ""
    middle = len(parts) // 2
    halves = [" ".join(parts[:middle]), " ".join(parts[middle:])]
    dice.shuffle(halves)
    return _words(halves[0], length, dice), halves[1]


def heading(corpus: Corpus, dice: random.Random, style: QueryStyle) -> Iterator[Pair]:
    """Yield a title with its text, from which the title is cut out: what the text repeats is not learnt."""
    people = {entity.name.casefold() for entity in corpus.entities if entity.person}
    for passage in corpus.passages:
        if passage.title:
            title = _NUMBERING.sub("", passage.title)
            text = name_pattern(title).sub(" ", passage.text)
            entity = Entity(title, person=title.casefold() in people)
            if len(text.split()) >= FEWEST_WORDS:
                yield _pair("heading", _asked(entity.name, entity, corpus, dice, style), text, passage)


def _asked(name: str, entity: Entity, corpus: Corpus, dice: random.Random, style: QueryStyle) -> str:
    if not corpus.english or dice.random() >= style.questions:
        return name
    if entity.person:
        return dice.choice(("Who is {}?", "What do we know of {}?", "What did {} do?")).format(name)
    return dice.choice(("What is {}?", "What do we know of {}?", "Tell me about {}.")).format(name)


def alias(corpus: Corpus, dice: random.Random, style: QueryStyle) -> Iterator[Pair]:
    """Yield a question by one of an entity's names with a passage that calls it by another."""
    shown = _shown(corpus)
    for place, entity in enumerate(corpus.entities):
        for name in entity.names:
            for passage in shown.get(place, ()):
                used = [other for other in entity.names if other != name and name_pattern(other).search(passage.text)]
                if used and not name_pattern(name).search(passage.text):
                    yield _pair("alias", _asked(name, entity, corpus, dice, style), passage.text, passage)
                    break


def definition(corpus: Corpus, dice: random.Random, style: QueryStyle) -> Iterator[Pair]:
    """Yield what defines an entity, without its names, with passages that mention it."""
    shown = _shown(corpus)
    for place, entity in enumerate(corpus.entities):
        own = [passage for passage in corpus.passages_of(entity) if not passage.book]
        told = entity.description or (own[0].text if own else "")
        for passage in shown.get(place, ()):
            sentence = _most_shared(told, passage.text, corpus)
            if sentence and passage.text != told:
                query = sentence
                for name in entity.names:
                    query = name_pattern(name).sub(" ", query)
                most = 2 * dice.choice(style.lengths)
                yield _pair("definition", _shortened(query, most, dice), passage.text, passage)


def mention(corpus: Corpus, dice: random.Random, style: QueryStyle) -> Iterator[Pair]:
    """Yield an entity's name, with the words that a passage and its definition share, with that passage of a book."""
    shown = _shown(corpus)
    for place, entity in enumerate(corpus.entities):
        own = [passage for passage in corpus.passages_of(entity) if not passage.book]
        told = set(tokens(entity.description + " ".join(passage.text for passage in own)))
        for passage in shown.get(place, ()):
            if not passage.book:
                continue
            names = {word for name in entity.names for word in tokens(name)}
            shared = [word for word in corpus.telling_words(passage.text) if word in told - names]
            if len(shared) >= 2:
                count = max(2, min(5, dice.choice(style.lengths) - 2))
                yield _pair("mention", " ".join([entity.name, *shared[:count]]), passage.text, passage)


def keywords(corpus: Corpus, dice: random.Random, style: QueryStyle) -> Iterator[Pair]:
    """Yield the words that a passage has and its neighbours on the page have not, the most telling, as a search."""
    for places in corpus.pages.values():
        for number, place in enumerate(places):
            passage = corpus.passages[place]
            near = [corpus.passages[places[n]].text for n in (number - 1, number + 1) if 0 <= n < len(places)]
            beside = {word for text in near for word in tokens(text)}
            telling = [word for word in corpus.telling_words(passage.text) if word not in beside and not word.isdigit()]
            count = max(2, min(6, dice.choice(style.lengths)))
            chosen = set(telling[: 2 * count][:count])
            in_order = [word for word in dict.fromkeys(tokens(passage.text)) if word in chosen]
            if len(in_order) >= 2:
                yield _pair("keywords", " ".join(in_order), passage.text, passage)


def _shown(corpus: Corpus) -> dict[int, list[Passage]]:
    """Return entity -> some passages, spread over the corpus, that mention it and are not its own page."""
    finder = NameFinder(corpus.entities)
    found: dict[int, list[Passage]] = defaultdict(list)
    for passage in corpus.passages:
        for place in finder.find(passage.text):
            if passage.title.casefold() != corpus.entities[place].name.casefold():
                found[place].append(passage)
    most = 8  # else the hero's name would be half of all pairs
    return {place: passages[:: -(-len(passages) // most)] for place, passages in found.items()}


def _most_shared(told: str, text: str, corpus: Corpus) -> str:
    """Return the sentence of `told` that shares the most telling words with `text`."""
    here = set(tokens(text))
    best, most = "", 0.0
    for sentence in Passage("", told, "").sentences if told.strip() else []:
        words = set(tokens(sentence))
        share = sum(corpus.rarity(word) for word in words & here) / (1 + len(words) ** 0.5)
        if 4 <= len(sentence.split()) <= 40 and share > most:
            best, most = sentence, share
    return best


SOURCES: dict[str, Source] = {
    "cloze": cloze,
    "crop": crop,
    "heading": heading,
    "alias": alias,
    "definition": definition,
    "mention": mention,
    "keywords": keywords,
}
"""Sources of pairs that need no model, by name."""
