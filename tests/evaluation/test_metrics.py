import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragon_finetune.chunks import ChunkRef
from dragon_finetune.evaluation.metrics import RECALL_AT, mean_metrics, rank
from dragon_finetune.evaluation.relevance import Relevance, rank_results

CORPUS = 30


def rankings(seed: int, questions: int = 12) -> tuple[list[list[int]], list[set[int]]]:
    rng = np.random.default_rng(seed)
    retrieved = [rng.permutation(CORPUS)[:10].tolist() for _ in range(questions)]
    relevant = [set(rng.permutation(CORPUS)[: rng.integers(1, 9)].tolist()) for _ in range(questions)]
    return retrieved, relevant


@pytest.mark.filterwarnings("ignore::Warning")  # numba's, at compiling ranx
@pytest.mark.parametrize("seed", range(3))
def test_metrics_are_those_of_ranx(seed):
    ranx = pytest.importorskip("ranx")
    retrieved, relevant = rankings(seed)
    qrels = ranx.Qrels({f"q{n}": {f"d{d}": 1 for d in docs} for n, docs in enumerate(relevant)})
    run = ranx.Run(
        {f"q{n}": {f"d{d}": 1 - rank / 10 for rank, d in enumerate(docs)} for n, docs in enumerate(retrieved)}
    )
    names = [*(f"recall@{k}" for k in RECALL_AT), "mrr@10", "ndcg@10", "map@10"]
    theirs = ranx.evaluate(qrels, run, names)
    ours = mean_metrics([rank(*pair) for pair in zip(retrieved, relevant, strict=True)])
    assert {name.lower(): value for name, value in ours.items()} == pytest.approx(theirs)


@pytest.mark.parametrize("seed", range(3))
def test_metrics_are_those_of_sentence_transformers(seed):
    import torch
    from sentence_transformers.sentence_transformer.evaluation import InformationRetrievalEvaluator

    rng = np.random.default_rng(seed)
    passages, asked = (rng.normal(size=(count, 8)).astype(np.float32) for count in (CORPUS, 12))
    relevant = [set(rng.permutation(CORPUS)[:4].tolist()) for _ in asked]
    evaluator = InformationRetrievalEvaluator(
        {f"q{n}": f"q{n}" for n in range(12)},
        {f"d{n}": f"d{n}" for n in range(CORPUS)},
        {f"q{n}": {f"d{d}" for d in docs} for n, docs in enumerate(relevant)},
        accuracy_at_k=[1], precision_recall_at_k=list(RECALL_AT), map_at_k=[10],
        score_functions={"dot": lambda a, b: torch.as_tensor(a) @ torch.as_tensor(b).T}, main_score_function="dot",
    )  # fmt: skip
    evaluator.embed_inputs = lambda model, texts, **_: torch.tensor(
        np.stack([(asked if text[0] == "q" else passages)[int(text[1:])] for text in texts])
    )

    class Nothing:
        similarity_fn_name = "dot"

        def similarity(self, a, b):
            return a @ b.T

    theirs = evaluator.compute_metrices(Nothing())["dot"]
    orders = [np.argsort(-row, kind="stable")[:10].tolist() for row in asked @ passages.T]
    ours = mean_metrics([rank(*pair) for pair in zip(orders, relevant, strict=True)])
    assert ours["nDCG@10"] == pytest.approx(theirs["ndcg@k"][10])
    assert ours["MRR@10"] == pytest.approx(theirs["mrr@k"][10])
    assert ours["MAP@10"] == pytest.approx(theirs["map@k"][10])
    assert [ours[f"recall@{k}"] for k in RECALL_AT] == pytest.approx([theirs["recall@k"][k] for k in RECALL_AT])


@given(st.permutations(range(12)), st.sets(st.integers(0, 11), min_size=1))
def test_metrics_lie_between_0_and_1_and_a_perfect_ranking_has_1(order, relevant):
    found = rank(order, relevant)
    assert all(0 <= value <= 1 for value in (*found.recall.values(), found.mrr, found.ndcg, found.average_precision))
    best = rank(sorted(order, key=lambda place: place not in relevant), relevant)
    assert (best.mrr, best.ndcg, best.average_precision) == pytest.approx((1, 1, 1))


def test_nothing_relevant_has_no_metrics():
    assert rank([1, 2], []) is None


def passage(identity, text):
    return ChunkRef("here", identity, text, {})


def test_relevant_are_judged_chunks_else_those_with_half_the_topics():
    corpus = [passage("a", "Ilse and Hob"), passage("b", "Ilse alone"), passage("c", "nobody"), passage("d", "nobody")]
    question = {"question_id": 1, "expected_topics": ["ilse", "HOB", "oar", "lamp"]}
    retrieved = [{"text": "nobody"}, {"text": "Ilse and Hob"}, {"text": "of another index"}]
    found = rank_results([{**question, "retrieved_chunks": retrieved}], Relevance(corpus))[1]
    assert (found.relevant, found.mrr) == (1, 0.5)
    judged = {**question, "relevant_chunk_ids": ["d"], "retrieved_chunks": retrieved}
    assert rank_results([judged], Relevance(corpus))[1].mrr == 1
    none = {"question_id": 2, "expected_topics": ["whale"], "retrieved_chunks": retrieved}
    assert rank_results([none], Relevance(corpus)) == {2: None}
