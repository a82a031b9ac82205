"""Pairs labelled by a hybrid search, which knows the corpus's words where the base alone does not."""

import random
from collections.abc import Iterator
from typing import TYPE_CHECKING

from dragon_finetune.pair import ASKED_FROM, Pair
from dragon_finetune.pairs.corpus import Corpus, Passage
from dragon_finetune.pairs.search import Answer, Search
from dragon_finetune.pairs.sources import HYBRID
from dragon_finetune.pairs.words import tokens
from dragon_finetune.progress import progress
from dragon_finetune.wording import ENGLISH, run_together, spoken

if TYPE_CHECKING:
    from dragon_finetune.pairs.style import QueryStyle

_FEWEST_WORDS = 5  # of a sentence that a query is taken from
_KEPT = 0.6  # chance of a word to stay in a query of the kind "gaps"
_MOST_KEYWORDS = 5
_TOP, _NEAREST = 10, 30  # the second passage is one that the hybrid search or the base ranks so high
_KINDS = ("span", "gaps", "keywords")


def hybrid(search: Search, dice: random.Random, style: "QueryStyle", per_chunk: int) -> Iterator[Pair]:
    """Yield words of one passage with the other passage that a hybrid search ranks first, and one more.

    The search adds to the base's cosines what BM25 says (`pairs.fusion`): they find more than either
    (examples/benchmarks/bench_pairs.py); its ranking is what the base is taught (`training.distillation`). The passage
    that the words are from is left out, else every query would be answered by its own copy. Queries are, as
    the dice fall, a span of a sentence, such a span with gaps, or some of a sentence's words that are not everywhere.

    Args:
        search: of the base, over at least three passages, else nothing is yielded.
        dice: decides the words and their order.
        style: lengths of the queries, in words.
        per_chunk: queries from each passage.
    """
    corpus = search.corpus
    if len(corpus.passages) < 3:
        return
    places = range(len(corpus.passages))
    asked = [query for place in places for query in _queries(corpus, place, dice, style, per_chunk)]
    dice.shuffle(asked)
    copies = _copies(corpus)
    answers = search.ask([query for _, query in asked], kept_as=HYBRID, depth=_NEAREST)
    with progress(total=len(asked), desc="hybrid search", unit="query") as bar:
        for (place, query), answer in zip(asked, answers, strict=True):
            pair = _labelled(query, place, copies.get(corpus.passages[place].text, {place}), answer, corpus, dice)
            if pair is not None:
                yield pair
            bar.update()


def _copies(corpus: Corpus) -> dict[str, set[int]]:
    """Return the places of each text that several passages have."""
    first: dict[str, int] = {}
    copies: dict[str, set[int]] = {}
    for place, passage in enumerate(corpus.passages):
        known = first.setdefault(passage.text, place)
        if known != place:
            copies.setdefault(passage.text, {known}).add(place)
    return copies


def _queries(
    corpus: Corpus, place: int, dice: random.Random, style: "QueryStyle", per_chunk: int
) -> Iterator[tuple[int, str]]:
    sentences = [words for text in corpus.passages[place].sentences if len(words := spoken(text)) >= _FEWEST_WORDS]
    for sentence in dice.sample(sentences, min(len(sentences), per_chunk)):
        kind = dice.choice(_KINDS)
        words = _words_of(sentence, kind, corpus, dice, style)
        if any(_tells(word, corpus) for word in words):
            yield place, run_together(words) if kind == "span" else " ".join(words)


def _words_of(sentence: list[str], kind: str, corpus: Corpus, dice: random.Random, style: "QueryStyle") -> list[str]:
    if kind == "keywords":
        telling = [word for word in sentence if _tells(word, corpus)]
        return dice.sample(telling, min(len(telling), dice.randint(1, _MOST_KEYWORDS)))
    length = dice.choice(style.lengths)
    start = dice.randrange(max(1, len(sentence) - length + 1))
    span = sentence[start : start + length]
    return [word for word in span if dice.random() < _KEPT] if kind == "gaps" else span


def _tells(word: str, corpus: Corpus) -> bool:
    """Tell whether a word holds something to search for: it is not everywhere, in whatever language."""
    # A letter that is only a part of others' pairs is nowhere, and tells nothing.
    return any(part not in ENGLISH and 0 < corpus.often[part] <= len(corpus.passages) / 2 for part in tokens(word))


def _labelled(
    query: str, place: int, own: set[int], answer: Answer, corpus: Corpus, dice: random.Random
) -> Pair | None:
    passages: list[Passage] = corpus.passages
    best = answer.best(_TOP + len(own), without=own)
    close = answer.near(_NEAREST + len(own), without=own)
    if not best:
        return None
    first = passages[best[0]]
    others = [near for near in dict.fromkeys([*best, *close]) if passages[near].text != first.text]
    if not others:
        return None
    other = passages[dice.choice(others)]
    metadata = {
        "source": HYBRID,
        "positive_chunk_id": first.id,
        "negative_chunk_ids": [other.id],
        "page": first.page,
        ASKED_FROM: passages[place].id,
    }
    return Pair(query, first.text.strip(), (other.text.strip(),), metadata)
