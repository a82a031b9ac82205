"""Pairs from passages alone: a sentence, a crop, a heading, telling words."""

import random
import re
from collections.abc import Iterator

from dragon_finetune.pair import Pair
from dragon_finetune.pairs.corpus import Corpus, Passage
from dragon_finetune.pairs.entities import Entity
from dragon_finetune.pairs.style import QueryStyle
from dragon_finetune.pairs.words import name_pattern, tokens

FEWEST_WORDS = 12  # of a passage that is left when the query has been cut out of it
_NUMBERING = re.compile(r"^(?:chapter\s+)?(?:[ivxlc]+|\d+)[.:)]\s+(?=\S)", re.IGNORECASE)  # "IV: The Road"


def pair_of(source: str, query: str, positive: str, passage: Passage) -> Pair:
    """Return the pair of a passage, with its source and place."""
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
            yield pair_of("cloze", shortened(sentence, 2 * wanted, dice), rest, passage)


def shortened(sentence: str, most: int, dice: random.Random) -> str:
    """Return at most `most` words of a sentence, from a random place."""
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
                yield pair_of("crop", query, positive, of)


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
                yield pair_of("heading", asked(entity.name, entity, corpus, dice, style), text, passage)


def asked(name: str, entity: Entity, corpus: Corpus, dice: random.Random, style: QueryStyle) -> str:
    """Return the name, or a question about it, as the style's share of questions has it."""
    if not corpus.english or dice.random() >= style.questions:
        return name
    if entity.person:
        return dice.choice(("Who is {}?", "What do we know of {}?", "What did {} do?")).format(name)
    return dice.choice(("What is {}?", "What do we know of {}?", "Tell me about {}.")).format(name)


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
                yield pair_of("keywords", " ".join(in_order), passage.text, passage)
