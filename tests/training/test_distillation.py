import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from dragon_finetune import FineTuner, TrainingConfig
from dragon_finetune.embedding.model import load_model
from dragon_finetune.model_folder import ModelFolder
from dragon_finetune.pair import Pair, asked_from
from dragon_finetune.pairs.fusion import fused, nearest
from dragon_finetune.training.distillation import DistillationLoss
from dragon_finetune.training.rows import QUERIES, examples, rows_of
from dragon_finetune.training.teacher import Teacher
from dragon_finetune.training.validation import embed_texts

NAMES = "Ilse Jorun Perran Hob Brannic Tamsin Orla Wat Edda Rook".split()
HYBRID = {"source": "hybrid"}
PLACES = "harbour tower kitchen mill bridge cellar garden market".split()


def scored():
    return st.integers(2, 30).flatmap(
        lambda count: st.tuples(
            arrays.arrays(np.float32, count, elements=st.floats(-1, 1, width=16)),
            arrays.arrays(np.float64, count, elements=st.integers(0, 20).map(float)),
        )
    )


@given(scored(), st.floats(0.01, 100))
def test_what_bm25_says_counts_by_its_share_whatever_its_scale(scores, factor):
    cosines, lexical = scores
    one = fused(cosines, lexical)
    np.testing.assert_allclose(fused(cosines, lexical * factor), one, atol=1e-6)
    assert one.max() <= cosines.max() + 1e-6
    if not lexical.any():
        np.testing.assert_array_equal(one, cosines)
        return
    best = lexical.argmax()
    assert one[best] == pytest.approx((cosines[best] + cosines.max()) / 2, abs=1e-5)
    nothing = lexical == 0
    np.testing.assert_allclose(one[nothing], (cosines[nothing] + cosines.mean()) / 2, atol=1e-5)


@given(scored())
def test_a_passage_that_is_not_there_changes_nothing_for_the_others(scores):
    cosines, lexical = scores
    without = fused(cosines, lexical, without=[0])
    assert without[0] == -np.inf
    np.testing.assert_allclose(without[1:], fused(cosines[1:], lexical[1:]), atol=1e-6)


@given(arrays.arrays(np.float32, st.integers(1, 40), elements=st.integers(0, 5).map(float)), st.integers(1, 50))
def test_the_nearest_are_those_of_a_stable_sort(scores, count):
    assert nearest(scores, count) == np.argsort(-scores, kind="stable")[:count].tolist()


def hybrid_pairs(count=40):
    """Queries of a name and a place; the positive tells of both, the negative of the name alone."""
    pairs = []
    for n in range(count):
        name, place = NAMES[n % len(NAMES)], PLACES[n % len(PLACES)]
        texts = [f"{name} went to the {place} on day {n}", f"{name} slept for {n} days"]
        metadata = {**HYBRID, "positive_chunk_id": f"p{n}", "negative_chunk_ids": [f"n{n}"]}
        pairs.append(
            Pair(f"{name} {place} {n}", texts[0], (texts[1],), {**metadata, "query_chunk_id": f"p{(n + 1) % 9}"})
        )
    return pairs


@pytest.fixture
def model(tiny):
    return load_model(ModelFolder.open(tiny), device="cpu")


def teacher_of(model, tiny, pairs):
    prompts = ModelFolder.open(tiny).prompts
    return Teacher(rows_of(pairs)[0], lambda texts, role: embed_texts(model, prompts, texts, role, precision="fp32"))


def features_of(model, tiny, pairs):
    prompts = ModelFolder.open(tiny).prompts
    rows = rows_of(pairs)[0]
    queries = [[row[n].query for row in rows] for n in range(QUERIES)]
    columns = [queries[0], [row[0].positive for row in rows], [row[0].negatives[0] for row in rows], *queries[1:]]
    roles = ["query", "document", "document", *["query"] * (QUERIES - 1)]
    return [model.preprocess(texts, prompt=prompts.of(role)) for texts, role in zip(columns, roles, strict=True)]


def loss_of(model, teacher, cached=False):
    full = model.get_embedding_dimension()
    return DistillationLoss(model, teacher, dims=[full], cached=cached, slice_tokens=64)


def test_the_teacher_is_the_hybrid_search_and_skips_the_passage_that_was_asked_from(model, tiny):
    pairs = hybrid_pairs()
    rows = [0, 8, 17]
    found = teacher_of(model, tiny, pairs).similarities(rows, rows)
    assert found.shape == (3 * QUERIES, 6)
    # Pair 0 asks from p1, pair 8 from p0, pair 17 from p0: of pair 0 alone the positive is in the batch.
    assert (found <= -1000).tolist() == [[False] * 6, [True] + [False] * 5, [True] + [False] * 5] * QUERIES
    assert found.argmax(dim=1).tolist() == [0, 1, 2] * QUERIES


@given(st.lists(st.integers(0, 3), max_size=30))
def test_rows_hold_every_pair_with_those_of_its_positive(positives):
    pairs = [Pair(f"q{n}", f"p{of}", (), {"source": "hybrid" if of else "mine"}) for n, of in enumerate(positives)]
    rows, others = rows_of(pairs)
    assert all(len(row) == QUERIES and len({pair.positive for pair in row}) == 1 for row in rows)
    assert {pair.query for row in rows for pair in row} == {pair.query for pair in pairs if pair.positive != "p0"}
    assert others == [pair for pair in pairs if pair.positive == "p0"]
    assert examples(pairs) == len(others) + sum(-(-positives.count(of) // QUERIES) for of in (1, 2, 3))


def test_where_bm25_says_nothing_the_base_has_nothing_to_learn(model, tiny):
    pairs = [Pair(f"query {n}", f"passage of the number {n + 100}", (f"other {n + 200}",), HYBRID) for n in range(6)]
    loss = loss_of(model.eval(), teacher_of(model, tiny, pairs))
    assert loss(features_of(model, tiny, pairs), torch.arange(6)).item() == pytest.approx(0, abs=1e-4)


def test_cached_gradients_are_the_gradients(model, tiny):
    pairs = hybrid_pairs(12)
    teacher = teacher_of(model, tiny, pairs)
    model.eval()
    values, gradients = [], []
    for cached in (False, True):
        model.zero_grad()
        loss = loss_of(model, teacher, cached)(features_of(model, tiny, pairs), torch.arange(12))
        loss.backward()
        values.append(loss.item())
        gradients.append([parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None])
    assert values[0] == pytest.approx(values[1], rel=1e-3)
    assert values[0] > 0.01
    for one, two in zip(*gradients, strict=True):
        assert (one - two).norm() <= 1e-3 * one.norm() + 1e-6  # sums in another order


@pytest.mark.parametrize(("batch_size", "epochs"), [(8, 8), (64, 16)])
def test_training_brings_the_model_nearer_to_the_teacher_beside_other_pairs(tiny, tmp_path, batch_size, epochs):
    labelled = [Pair(f"who lit lamp {n}", f"{NAMES[n % 10]} lit lamp {n}", (), {"source": "mine"}) for n in range(20)]
    config = TrainingConfig(
        base_model=tiny,
        output_dir=tmp_path / "out",
        batch_size=batch_size,
        epochs=epochs,
        learning_rate=3e-4,
        validation_share=0,
        device="cpu",
    )
    result = FineTuner(config).train([*hybrid_pairs(60), *labelled])
    pairs = hybrid_pairs(60)
    losses = {}
    for name, folder in (("base", tiny), ("tuned", result.path)):
        base = load_model(ModelFolder.open(tiny), device="cpu")
        student = load_model(ModelFolder.open(folder), device="cpu").eval()
        loss = loss_of(student, teacher_of(base, tiny, pairs))
        losses[name] = loss(features_of(student, tiny, pairs[:16]), torch.arange(16)).item()
    assert losses["tuned"] < 0.8 * losses["base"]


def test_the_passage_that_a_querys_words_are_from_is_known():
    pairs = [
        Pair("Ilse harbour", "Jorun saw Ilse", (), {"positive_chunk_id": "b", "query_chunk_id": "a"}),
        Pair("mill", "Ilse harbour", (), {"positive_chunk_id": "a"}),
    ]
    assert asked_from(pairs, pairs) == [{"Ilse harbour"}, set()]
