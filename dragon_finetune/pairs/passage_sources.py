"""Pairs from passages alone: their telling words."""

import random
from collections.abc import Iterator

from dragon_finetune.pair import Pair
from dragon_finetune.pairs.corpus import Corpus, Passage
from dragon_finetune.pairs.style import QueryStyle
from dragon_finetune.pairs.words import tokens


def pair_of(source: str, query: str, positive: str, passage: Passage) -> Pair:
    """Return the pair of a passage, with its source and place."""
    metadata = {"source": source, "positive_chunk_id": passage.id, "page": passage.page}
    return Pair(" ".join(query.split()), positive.strip(), (), metadata)


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
