"""Pairs from names: by another name, by what defines them, by where they are mentioned."""

import random
from collections import defaultdict
from collections.abc import Iterator

from dragon_finetune.pair import Pair
from dragon_finetune.pairs.corpus import Corpus, Passage
from dragon_finetune.pairs.entities import NameFinder
from dragon_finetune.pairs.passage_sources import asked, pair_of, shortened
from dragon_finetune.pairs.style import QueryStyle
from dragon_finetune.pairs.words import name_pattern, tokens


def alias(corpus: Corpus, dice: random.Random, style: QueryStyle) -> Iterator[Pair]:
    """Yield a question by one of an entity's names with a passage that calls it by another."""
    shown = _shown(corpus)
    for place, entity in enumerate(corpus.entities):
        for name in entity.names:
            for passage in shown.get(place, ()):
                used = [other for other in entity.names if other != name and name_pattern(other).search(passage.text)]
                if used and not name_pattern(name).search(passage.text):
                    yield pair_of("alias", asked(name, entity, corpus, dice, style), passage.text, passage)
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
                yield pair_of("definition", shortened(query, most, dice), passage.text, passage)


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
                yield pair_of("mention", " ".join([entity.name, *shared[:count]]), passage.text, passage)


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
