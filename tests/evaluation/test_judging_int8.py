"""An int8 form is judged by questions, pairing by pairing."""

import numpy as np
import pytest
from conftest import CORPUS

from dragon_finetune import FineTunedEmbedder
from dragon_finetune.chunks import read_chunks
from dragon_finetune.embedding.int8 import int8_of
from dragon_finetune.embedding.quantising import quantise
from dragon_finetune.evaluation.int8 import judge_int8, quantise_and_judge, questions_about
from dragon_finetune.evaluation.metrics import ndcg_at_10
from dragon_finetune.evaluation.training_queries import write_training_queries
from dragon_finetune.pair import Pair

WORDS = " ".join(CORPUS).split()
TEXTS = [" ".join(WORDS[at : at + 6]) for at in range(30)]


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DRAGON_FINETUNE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def chunks(write_jsonl):
    records = [{"chunk_id": f"c{place}", "text": text} for place, text in enumerate(TEXTS)]
    return list(read_chunks([write_jsonl("chunks.jsonl", records)]))


def asked(texts=TEXTS) -> list[dict]:
    return [{"question": text[4:30], "relevant_chunk_ids": [f"c{place}"]} for place, text in enumerate(texts)]


@pytest.mark.filterwarnings("ignore:int8 of .* is unmeasured")
def test_figures_are_those_of_a_plain_count(tiny, chunks):
    made = quantise(tiny, TEXTS)
    made.put_in_use()
    forms = {name: FineTunedEmbedder(tiny, precision=name, device="cpu") for name in ("fp32", "int8")}
    documents = {name: form.encode(TEXTS, role="document") for name, form in forms.items()}
    queries = {name: form.encode([text[4:30] for text in TEXTS], role="query") for name, form in forms.items()}

    def ndcg(documents_of: str, queries_of: str) -> float:
        scores = queries[queries_of] @ documents[documents_of].T
        return float(np.mean([ndcg_at_10(row, [place]) for place, row in enumerate(scores)]))

    made = judge_int8(made, str(tiny), chunks, asked())
    assert made == int8_of(FineTunedEmbedder(tiny).folder)
    assert {(each.documents, each.queries) for each in made.pairings} == {
        ("int8", "int8"),
        ("int8", "fp32"),
        ("fp32", "int8"),
    }
    for each in made.pairings:
        assert each.questions == len(TEXTS)
        assert each.low <= each.difference <= each.high
        assert each.difference == pytest.approx(ndcg(each.documents, each.queries) - ndcg("fp32", "fp32"), abs=1e-6)
    cosines = (documents["fp32"] * documents["int8"]).sum(axis=1)
    assert made.cosines == pytest.approx((cosines.mean(), cosines.min()), abs=1e-5)


def test_without_questions_it_stays_unmeasured(tiny, chunks):
    made = judge_int8(quantise(tiny, TEXTS), str(tiny), chunks, [])
    assert made.verdict == "unmeasured"
    assert made.cosines is not None
    assert 0.9 < made.cosines[1] <= made.cosines[0] < 1


def test_what_was_refused_can_be_judged_again(tiny, chunks):
    made = quantise(tiny, TEXTS)
    once = judge_int8(made, str(tiny), chunks, asked())
    assert judge_int8(once, str(tiny), chunks, asked()) == once


def test_attention_stays_in_floating_point_where_all_layers_are_refused(tiny, chunks):
    whole = judge_int8(quantise(tiny, TEXTS), str(tiny), chunks, asked())
    found = quantise_and_judge(str(tiny), chunks, asked())
    assert found == int8_of(FineTunedEmbedder(tiny).folder)
    part = quantise(tiny, TEXTS, parts="feed-forward")
    assert found.parts == ("all" if whole.verdict == "accepted" or part.verdict == "refused" else "feed-forward")
    graphs = [
        (form.path / "model.xml").read_text(encoding="utf-8").count('type="FakeQuantize"') for form in (whole, part)
    ]
    assert graphs[0] > graphs[1] > 0


def test_recorded_queries_are_asked_where_no_others_are(tiny, chunks, tmp_path):
    pairs = [Pair(text[4:30], text, ()) for text in TEXTS]
    write_training_queries(tmp_path, pairs)
    found = questions_about(tmp_path, chunks, None)
    assert [each["relevant_chunk_ids"] for each in found] == [[f"c{place}"] for place in range(len(TEXTS))]
    write_training_queries(tmp_path, pairs[:10])
    assert questions_about(tmp_path, chunks, None) == []
    assert questions_about(tiny, chunks, None) == []
