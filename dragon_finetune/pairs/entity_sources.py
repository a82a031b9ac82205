"""Pairs from names: by where they are mentioned."""

import random
from collections import defaultdict
from collections.abc import Iterator

from dragon_finetune.pair import Pair
from dragon_finetune.pairs.corpus import Corpus, Passage
from dragon_finetune.pairs.entities import NameFinder
from dragon_finetune.pairs.passage_sources import pair_of
from dragon_finetune.pairs.style import QueryStyle
from dragon_finetune.pairs.words import tokens


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
