"""Joined vectors: one long, and ranked by their cosine as by the hybrid score."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragon_finetune.embedding.joiner import Joiner
from dragon_finetune.lexical.joining import dense_of, join_documents, join_queries
from dragon_finetune.lexical.learning import learn
from dragon_finetune.lexical.level import Level, level_between
from dragon_finetune.lexical.sketch import Sketcher

WORDS = "lamp oar ash Oriel Zorbax the of and Ledger's half-moon tide 竜の書 straße knots greywick".split()
CORPUS = [" ".join([*WORDS[n % 7 : n % 7 + 5], f"tale{n}"]) for n in range(40)]
DIMENSION = 8

texts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=12).map(" ".join)
any_text = st.text(st.characters(exclude_categories=("Cs",)), max_size=60)
shares = st.floats(0, 0.9)
levels = st.one_of(st.none(), st.builds(Level, weight=st.floats(0, 0.9), sign=st.sampled_from([1, -1])))


def joiner_of(share=0.5, level=None, dimensions=64):
    return Joiner(learn(CORPUS, dimensions=dimensions, share=share), level)


def dense(count, seed=0):
    vectors = np.random.default_rng(seed).normal(size=(count, DIMENSION))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@given(st.lists(texts, min_size=2, max_size=12), texts, shares, levels, st.integers(0, 2**32 - 1))
def test_the_order_by_cosine_is_the_order_by_the_hybrid_score(passages, query, share, level, seed):
    joiner = joiner_of(share, level)
    documents, asked = dense(len(passages), seed), dense(1, seed + 1)
    joined = joiner.join(documents, passages, "document") @ joiner.join(asked, [query], "query")[0]
    lexical = joiner.sketcher.documents(passages) @ joiner.sketcher.queries([query])[0]
    hybrid = (1 - share) * documents.astype(np.float64) @ asked[0] + share * lexical
    order = np.argsort(-hybrid, kind="stable")
    # Ties aside: what the joined cosine puts the other way round lies together within rounding.
    assert (np.diff(joined[order]) <= 2e-6).all()


@given(st.lists(any_text, min_size=1, max_size=6), shares, levels)
def test_whatever_the_text_vectors_are_one_long(found, share, level):
    joiner = joiner_of(share, level)
    for role in ("query", "document", None):
        vectors = joiner.join(dense(len(found)), found, role)
        assert vectors.shape == (len(found), DIMENSION + joiner.more)
        assert vectors.dtype == np.float32
        assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


@given(st.lists(texts, min_size=2, max_size=8))
def test_a_text_alone_or_in_a_crowd_has_one_vector(found):
    joiner = joiner_of(level=Level(weight=0.2))
    vectors = dense(len(found))
    for role in ("query", "document"):
        crowd = joiner.join(vectors, found, role)
        alone = [joiner.join(vectors[n : n + 1], found[n : n + 1], role)[0] for n in range(len(found))]
        assert np.array_equal(crowd, np.array(alone))


@given(st.lists(texts, min_size=2, max_size=12), texts)
def test_share_0_is_the_dense_order(passages, query):
    joiner = joiner_of(share=0)
    documents, asked = dense(len(passages)), dense(1, 9)
    joined = joiner.join(documents, passages, "document") @ joiner.join(asked, [query], "query")[0]
    assert np.allclose(joined, documents @ asked[0], atol=1e-6)


@pytest.mark.parametrize("query", ["?!", "Quarx", "Vlemp flirx"])
def test_a_query_of_which_no_word_is_known_is_dense_alone(query):
    joiner = joiner_of()
    documents, asked = dense(len(CORPUS)), dense(1, 9)
    joined = joiner.join(documents, CORPUS, "document") @ joiner.join(asked, [query], "query")[0]
    assert (np.argsort(-joined) == np.argsort(-(documents @ asked[0]))).all()


@given(st.lists(texts, min_size=2, max_size=6), levels)
def test_texts_without_a_role_keep_the_dense_cosines_among_themselves(found, level):
    vectors = dense(len(found))
    joined = joiner_of(level=level).join(vectors, found, None)
    assert np.allclose(joined @ joined.T, vectors @ vectors.T, atol=1e-5)


@given(st.lists(texts, min_size=1, max_size=6), shares, levels)
def test_the_dense_part_can_be_had_again(found, share, level):
    vectors = dense(len(found))
    for role in ("query", "document", None):
        assert np.allclose(dense_of(joiner_of(share, level).join(vectors, found, role), DIMENSION), vectors, atol=1e-4)


def test_an_invented_word_finds_its_passage_which_the_dense_vector_does_not():
    passages = [*CORPUS, "The keeper is called Vorrim."]
    joiner = Joiner(learn(passages), None)
    same = dense(1).repeat(len(passages), axis=0)  # the model sees no difference
    found = joiner.join(same, passages, "document") @ joiner.join(dense(1, 5), ["who is Vorrim's friend"], "query")[0]
    assert int(np.argmax(found)) == len(passages) - 1


def test_a_query_of_telling_words_has_a_longer_sketch():
    sketcher = Sketcher(learn(CORPUS))
    common, rare, unknown = np.linalg.norm(sketcher.queries(["lamp oar", "tale7 tale8", "quarx"]), axis=1)
    assert unknown == 0 < common < rare == pytest.approx(4)


@given(st.lists(texts, min_size=1, max_size=20))
def test_a_passages_sketch_is_never_over_its_reach(found):
    assert (np.linalg.norm(Sketcher(learn(CORPUS)).documents(found), axis=1) <= 1 + 1e-9).all()


@given(st.floats(-0.2, 0.9), st.floats(-0.2, 0.9), st.integers(0, 1000))
def test_a_level_brings_the_mean_where_it_is_wanted_and_leaves_the_order(now, wanted, seed):
    native = now + np.random.default_rng(seed).normal(scale=0.01, size=20)
    level = level_between(native, np.full(20, wanted))
    queries, documents = dense(3, seed), dense(9, seed + 1)
    kept = level.apply(queries, "query") @ level.apply(documents, "document").T
    cosines = queries @ documents.T
    constant = level.weight * level.sign
    assert np.allclose(kept, (1 - level.weight) * cosines + constant, atol=1e-5)
    if level.weight < 0.95:
        assert (1 - level.weight) * native.mean() + constant == pytest.approx(wanted, abs=1e-6)


def test_joining_takes_what_numpy_takes():
    vectors = dense(2)
    for join in (join_documents, join_queries):
        assert join(vectors.astype(np.float64), np.zeros((2, 4)), 0.5).dtype == np.float32
