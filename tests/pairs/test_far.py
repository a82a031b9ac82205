"""The search that overlooks some passages, against the one that compares all."""

from types import SimpleNamespace

import numpy as np
import pytest
from codex_of_pairs import corpus_of
from hypothesis import given, settings
from hypothesis import strategies as st

from dragon_finetune.index.mapped import MappedVectors
from dragon_finetune.pairs.corpus import Corpus, Passage
from dragon_finetune.pairs.entities import Entity, NameFinder
from dragon_finetune.pairs.far_lexical import FarLexical
from dragon_finetune.pairs.far_searcher import FarSearcher
from dragon_finetune.pairs.fusion import Lexical, nearest
from dragon_finetune.pairs.negatives import add_hard_negatives
from dragon_finetune.pairs.neighbours import Neighbours
from dragon_finetune.pairs.searcher import Searcher
from dragon_finetune.pairs.searching import APPROXIMATE_FROM, search_over
from dragon_finetune.pairs.synthesis import PairSettings, synthesize
from dragon_finetune.pairs.words import tokens


class Words:
    """An embedder of whose texts the vectors are sums of the words' random directions."""

    fingerprint = "words"
    options = SimpleNamespace(precision="fp32", on_overflow="split")

    def __init__(self, stops_at=None):
        self.read, self.stops_at = [], stops_at

    def encode(self, texts, *, role=None):
        if self.stops_at is not None and any(self.stops_at in text for text in texts):
            raise KeyboardInterrupt
        self.read += texts
        rows = [sum(self.direction(word) for word in ["", *tokens(text)]) for text in texts]
        return np.array([row / np.linalg.norm(row) for row in rows], dtype=np.float32)

    @staticmethod
    def direction(word):
        return np.random.default_rng(list(word.encode())).standard_normal(24)


class Given:
    """An embedder whose texts are the numbers of given vectors."""

    fingerprint = "given"
    options = SimpleNamespace(precision="fp32", on_overflow="split")

    def __init__(self, vectors):
        self.vectors = vectors

    def encode(self, texts, *, role=None):
        return self.vectors[[int(text) for text in texts]]


VOCABULARY = [
    f"{first}{second}" for first in "ka lo mi ru te sha vor zen".split() for second in "bar dim fel gon".split()
]


def invented(count, seed=0):
    dice = np.random.default_rng(seed)
    # Of many lengths, so that BM25 has few ties.
    chosen = [dice.zipf(1.4, dice.integers(9, 60)).clip(max=len(VOCABULARY)) - 1 for _ in range(count)]
    return [
        f"{' '.join(VOCABULARY[n] for n in words).capitalize()} number{place}." for place, words in enumerate(chosen)
    ]


@pytest.fixture(scope="module")
def corpus():
    return corpus_of(invented(200))


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@settings(max_examples=25)
@given(
    count=st.integers(1, 400),
    dimension=st.sampled_from([2, 7, 32]),
    wanted=st.integers(1, 40),
    copies=st.integers(0, 5),
    seed=st.integers(0, 2**32 - 1),
)
def test_nearest_neighbours_are_those_of_comparing_all(tmp_path_factory, count, dimension, wanted, copies, seed):
    dice = np.random.default_rng(seed)
    rows = dice.standard_normal((count, dimension))
    rows[-copies:] = rows[0]  # equal ones
    rows = unit(rows)
    vectors = MappedVectors(tmp_path_factory.mktemp("shards"), [*map(str, range(count))], Given(rows), rows=64)
    neighbours = Neighbours(vectors)
    asked = unit(dice.standard_normal((5, dimension)))
    found = neighbours.nearest(asked, wanted)
    assert [len(row) for row in found] == [min(count, wanted)] * 5
    hits = 0
    for query, row in zip(asked, found, strict=True):
        cosines = rows @ query
        assert len(set(row.tolist())) == len(row)
        least = np.sort(cosines)[-min(count, wanted)]
        hits += np.count_nonzero(cosines[row] >= least - 2e-3)
    assert hits >= 0.98 * 5 * min(count, wanted)
    assert all((one == two).all() for one, two in zip(found, neighbours.nearest(asked, wanted), strict=True))
    alone = neighbours.nearest(asked[0], wanted)[0]  # of equal ones it may find others: products are rounded otherwise
    assert np.allclose(rows[alone] @ asked[0], rows[found[0]] @ asked[0], atol=1e-6)


@settings(max_examples=25)
@given(count=st.integers(1, 300), wanted=st.integers(1, 40), copies=st.integers(0, 200), seed=st.integers(0, 2**32 - 1))
def test_as_many_neighbours_as_are_wanted_whatever_the_few_that_are_tasted_say(
    tmp_path_factory, count, wanted, copies, seed
):
    dice = np.random.default_rng(seed)
    rows = dice.standard_normal((count, 12))
    rows[:: max(1, count // 8)] *= dice.choice([-1, 1]) * np.sign(rows[:: max(1, count // 8), :1])
    rows[-copies:] = rows[0]
    rows = unit(rows)
    with pytest.MonkeyPatch.context() as patch:
        small = {"_TASTE": 8, "_COLUMNS": 50, "_LEAST_SHORT": 3, "_LEAST_CELLS": 2, "LEAST_WIDTH": 1}
        for name, value in small.items():
            patch.setattr(f"dragon_finetune.pairs.neighbours.{name}", value)
        vectors = MappedVectors(tmp_path_factory.mktemp("shards"), [*map(str, range(count))], Given(rows), rows=64)
        neighbours = Neighbours(vectors)
        asked = np.concatenate([unit(dice.standard_normal((5, 12))), rows[:1], -rows[:1]])
        for row, query in zip(neighbours.nearest(asked, wanted), asked, strict=True):
            assert len({*row.tolist()}) == len(row) == min(count, wanted)
            assert (np.diff(rows[row] @ query) <= 1e-6).all()
        neighbours.width = count
        for row, query in zip(neighbours.nearest(asked, wanted), asked, strict=True):
            assert np.allclose(rows[row] @ query, np.sort(rows @ query)[::-1][:wanted], atol=1e-6)


@settings(max_examples=15)
@given(count=st.integers(1, 60), champions=st.integers(1, 80), seed=st.integers(0, 99))
def test_bm25_scores_are_those_of_scoring_all_and_so_are_the_best_where_it_looks_wide(
    tmp_path_factory, count, champions, seed
):
    texts = invented(count, seed)
    far = FarLexical(texts, Corpus([Passage(text, text, "") for text in texts]).often, tmp_path_factory.mktemp("bm25"))
    far.champions = champions
    slow = Lexical(texts)
    for query in [texts[0], "kabar kabar lodim", "nothing of these", ""]:
        scores = slow.scores(query) if any(word in VOCABULARY for word in tokens(query)) else np.zeros(count)
        assert np.allclose(far.scores(query), scores, atol=1e-5)
        places = np.arange(0, count, 2, dtype=np.int32)
        assert np.allclose(far.scores_at([query], [places])[0], scores[places], atol=1e-5)
        candidates = far.candidates([query])[0]
        best = candidates.places[candidates.best(10)]
        assert (scores[best] > 0).all()
        if champions >= count:
            assert [*best] == nearest(far.scores(query), min(10, np.count_nonzero(scores)))[: len(best)]
            assert len(best) == min(10, np.count_nonzero(scores))


def test_the_same_pairs_as_by_comparing_all_and_the_recall_is_said(corpus, tmp_path):
    chosen = PairSettings(seed=3, per_chunk=2)
    exact, far = Searcher(corpus, Words()), FarSearcher(corpus, Words(), tmp_path)
    made = synthesize(corpus, chosen, search=far).pairs
    slow = synthesize(corpus, chosen, search=exact).pairs
    assert made == synthesize(corpus, chosen, search=FarSearcher(corpus, Words(), tmp_path)).pairs
    both = {(pair.query, pair.positive) for pair in made} & {(pair.query, pair.positive) for pair in slow}
    assert len(both) >= 0.9 * len(slow)
    recall = far.recalls["hybrid"]
    assert (recall.queries, recall.depth) == (128, 30)
    assert min(recall.near, recall.words, recall.both) >= 0.98
    for pair in made:
        texts = {passage.id: passage.text for passage in corpus.passages}
        assert texts[pair.metadata["query_chunk_id"]] not in (pair.positive, *pair.negatives)


def test_a_passage_s_copies_never_answer_what_was_asked_from_it(tmp_path):
    texts = invented(80)
    doubled = corpus_of([*texts, *texts])
    made = synthesize(doubled, PairSettings(), search=FarSearcher(doubled, Words(), tmp_path)).pairs
    own = {passage.id: passage.text for passage in doubled.passages}
    assert made
    assert all(own[pair.metadata["query_chunk_id"]] not in (pair.positive, *pair.negatives) for pair in made)


def test_hard_negatives_are_those_of_comparing_all(corpus, tmp_path):
    pairs = synthesize(corpus, PairSettings(sources=["keywords"])).pairs[:60]
    far = FarSearcher(corpus, Words(), tmp_path)
    mined, report = add_hard_negatives(pairs, far, per_pair=2)
    slow, slow_report = add_hard_negatives(pairs, Searcher(corpus, Words()), per_pair=2)
    # Comparing all fills BM25's list up with passages that have no word of the query.
    assert np.mean([one == two for one, two in zip(mined, slow, strict=True)]) >= 0.85
    assert report.found == slow_report.found
    assert far.recalls["negatives"].depth == 200  # of 300 asked for, all there are


def test_a_search_that_finds_too_little_looks_wider_or_says_so(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr("dragon_finetune.pairs.far_lexical.LEAST_CHAMPIONS", 1)
    far = FarSearcher(corpus, Words(), tmp_path)
    synthesize(corpus, PairSettings(per_chunk=1), search=far)
    enough = far.lexical.champions
    assert enough > 1
    assert far.recalls["hybrid"].words >= 0.98
    # No wider than it must: the step before, a quarter less, finds too little.
    for name in ("far_lexical.LEAST_CHAMPIONS", "recall.MOST_CHAMPIONS"):
        monkeypatch.setattr(f"dragon_finetune.pairs.{name}", int(enough / 1.25))
    far = FarSearcher(corpus, Words(), tmp_path)
    with pytest.warns(UserWarning, match="below 0.98"):
        synthesize(corpus, PairSettings(per_chunk=1), search=far)
    assert far.recalls["hybrid"].words < 0.98
    monkeypatch.setattr("dragon_finetune.pairs.far_lexical.LEAST_CHAMPIONS", 1)
    monkeypatch.setattr("dragon_finetune.pairs.recall.MOST_CHAMPIONS", 1)
    monkeypatch.setattr("dragon_finetune.pairs.recall.MOST_DEPTH", 1)
    with pytest.warns(UserWarning, match="below 0.98, as wide as it looks"):
        synthesize(corpus, PairSettings(per_chunk=1), search=FarSearcher(corpus, Words(), tmp_path))


def test_a_killed_run_embeds_no_passage_and_no_query_again(corpus, tmp_path):
    whole = synthesize(corpus, PairSettings(), search=FarSearcher(corpus, Words(), tmp_path / "whole")).pairs
    passages = {passage.text for passage in corpus.passages}
    killed = Words()
    search = FarSearcher(corpus, killed, tmp_path / "killed")
    search.answers = lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        synthesize(corpus, PairSettings(), search=search)
    assert passages < {*killed.read}
    again = Words()
    assert synthesize(corpus, PairSettings(), search=FarSearcher(corpus, again, tmp_path / "killed")).pairs == whole
    assert again.read == []


def test_few_passages_are_compared_one_by_one(corpus, tmp_path):
    assert len(corpus.passages) < APPROXIMATE_FROM
    assert isinstance(search_over(corpus, Words(), tmp_path), Searcher)
    assert isinstance(search_over(corpus, Words(), tmp_path, approximate_from=200), FarSearcher)


def test_without_a_folder_the_vectors_go_with_the_search(corpus):
    search = search_over(corpus, Words(), approximate_from=1)
    made = synthesize(corpus, PairSettings(per_chunk=1), search=search).pairs
    folder = search.vectors.files[0]
    assert made and folder.exists()
    del search
    assert not folder.exists()


def test_names_that_begin_alike_are_looked_up_not_gone_through():
    finder = NameFinder([Entity(f"House {number}") for number in range(2000)])
    assert [*finder.find("the house 1999 beside house 3, and house 1999 again; a house")] == [1999, 3]
    assert (len(finder._places), finder._lengths["house"]) == (2000, {2})
