"""Pairs labelled by a hybrid search, which knows the corpus's words where the base alone does not."""

import random
from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from dragon_finetune.records import Pair
from dragon_finetune.training.corpus import Corpus, Passage
from dragon_finetune.training.negatives import Searcher

if TYPE_CHECKING:
    from dragon_finetune.embedding.embedder import FineTunedEmbedder
    from dragon_finetune.training.sources import QueryStyle

_FEWEST_WORDS = 5  # of a sentence that a query is taken from
_SPANS = 2  # tried per pair that is wanted: about half of them have no clear winner
_GAP = 0.5  # standard deviations by which the first must lead the second
_NEGATIVES = 2
_TOP = 10  # what the hybrid search ranks so high is no negative
_NEAREST = 30
_QUERIES_AT_ONCE = 512


def hybrid(
    corpus: Corpus, embedder: "FineTunedEmbedder", dice: random.Random, style: "QueryStyle", per_chunk: int
) -> Iterator[Pair]:
    """Yield words of one passage with the other passage that a hybrid search ranks first, and two hard negatives.

    The search adds the scores of BM25 and of the base (each standardised over the corpus), which together find more
    than either (examples/benchmarks/bench_pairs.py); its ranking is what the base is to learn. The passage that the
    words are from is left out, else every query would be answered by its own copy. Negatives are what the base alone
    ranks high and the hybrid search does not.

    Args:
        corpus: at least three passages, else nothing is yielded.
        embedder: the base model.
        dice: decides the spans and their order.
        style: lengths of the queries, in words.
        per_chunk: twice as many spans of each passage are tried.
    """
    if len(corpus.passages) < 3:
        return
    spans = [span for place in range(len(corpus.passages)) for span in _spans(corpus, place, dice, style, per_chunk)]
    dice.shuffle(spans)
    search = Searcher(corpus, embedder)
    copies: dict[str, list[int]] = defaultdict(list)
    for place, passage in enumerate(corpus.passages):
        copies[passage.text].append(place)
    with tqdm(total=len(spans), desc="hybrid search", unit="query", disable=None) as bar:
        for start in range(0, len(spans), _QUERIES_AT_ONCE):
            block = spans[start : start + _QUERIES_AT_ONCE]
            for (place, query), cosines in zip(block, search.cosines([query for _, query in block]), strict=True):
                pair = _labelled(query, copies[corpus.passages[place].text], cosines, search)
                if pair is not None:
                    yield pair
            bar.update(len(block))


def _spans(
    corpus: Corpus, place: int, dice: random.Random, style: "QueryStyle", per_chunk: int
) -> Iterator[tuple[int, str]]:
    sentences = [words for text in corpus.passages[place].sentences if len(words := text.split()) >= _FEWEST_WORDS]
    for words in dice.sample(sentences, min(len(sentences), _SPANS * per_chunk)):
        length = dice.choice(style.lengths)
        start = dice.randrange(max(1, len(words) - length + 1))
        yield place, " ".join(words[start : start + length])


def _labelled(query: str, own: list[int], cosines: npt.NDArray[np.float32], search: Searcher) -> Pair | None:
    fused = search.fused(query, cosines)
    fused[own] = -np.inf
    best = np.argsort(-fused, kind="stable")[:_TOP].tolist()
    passages: list[Passage] = search.corpus.passages
    right = passages[best[0]]
    second = next((place for place in best if passages[place].text != right.text), None)
    if second is None or fused[best[0]] - fused[second] < _GAP:
        return None
    near = np.argsort(-cosines, kind="stable")[:_NEAREST].tolist()
    wrong = [place for place in near if place not in own and place not in best][:_NEGATIVES]
    metadata = {"source": "hybrid", "positive_chunk_id": right.id, "page": right.page}
    return Pair(query, right.text.strip(), tuple(passages[place].text for place in wrong), metadata)
