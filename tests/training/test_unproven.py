"""A run that can prove nothing says so, and keeps the base; one that can teach nothing does not start."""

import pytest
from conftest import make_pairs
from runs_of_training import PAIRS, config
from safetensors.torch import load_file

from dragon_finetune import FineTunedEmbedder, FineTuner
from dragon_finetune.errors import DataError, ModelError

OF_ONE_PASSAGE = [{**pair, "positive_text": "The ledger lies."} for pair in make_pairs(12)]
LIFTED = [{**pair, "source": "hybrid" if n % 2 else "keywords"} for n, pair in enumerate(PAIRS)]


def test_queries_that_are_words_of_their_passages_judge_nothing_and_that_is_said_before_work(tiny, tmp_path):
    with pytest.raises(DataError, match=r"no query of these 40 pairs can judge .*\(hybrid, keywords\).*--judge FILE"):
        FineTuner(config(tiny, tmp_path / "out")).train(LIFTED)
    assert not list(tmp_path.iterdir())


def test_of_a_mix_only_those_judge_that_somebody_asked(tiny, tmp_path):
    asked = make_pairs(60)[40:]
    result = FineTuner(config(tiny, tmp_path / "out", max_steps=1)).train([*LIFTED, *asked])
    assert result.pairs == {"training": 56, "validation": 4}
    assert set(result.validation_by_source) == {""}


@pytest.mark.parametrize("pairs", [make_pairs(2)])
def test_too_few_pairs_to_hold_one_back_are_refused_before_work(tiny, tmp_path, pairs):
    with pytest.raises(DataError, match="no pair of 2 can be held back"):
        FineTuner(config(tiny, tmp_path / "out")).train(pairs)
    assert not list(tmp_path.iterdir())


def test_where_all_pairs_have_one_passage_new_queries_are_held_back(tiny, tmp_path):
    result = FineTuner(config(tiny, tmp_path / "out", max_steps=1)).train(OF_ONE_PASSAGE)
    assert result.pairs == {"training": 10, "validation": 2}


def test_a_judge_file_judges_and_is_not_trained_on(tiny, tmp_path, write_jsonl):
    judge = write_jsonl("judge.jsonl", PAIRS[:10])
    result = FineTuner(config(tiny, tmp_path / "out", max_steps=1, judge=judge)).train(PAIRS)
    assert result.pairs == {"training": 30, "validation": 10}
    assert result.dropped["queries that judge"] == 10


def test_another_judge_is_another_run(tiny, tmp_path, write_jsonl):
    for count in (10, 12):
        settings = config(tiny, tmp_path / "out", max_steps=1, judge=write_jsonl("judge.jsonl", PAIRS[:count]))
        if count == 12:
            with pytest.raises(ModelError, match="judge: "):
                FineTuner(settings).train(PAIRS)
        else:
            FineTuner(settings).train(PAIRS)


def test_where_queries_cant_tell_the_base_is_kept_and_the_tuned_weights_lie_beside_it(tiny, tmp_path):
    result = FineTuner(config(tiny, tmp_path / "out", epochs=3, learning_rate=1e-3)).train(make_pairs(15))
    assert result.verdict["queries"] == 4
    # Of four queries no outcome has a p below 1/16.
    assert (result.kept, result.verdict["outcome"]) == ("base", "can't tell")
    assert "4 queries can't tell the tuned weights from the base" in result.unproven
    assert f"unproven: {result.unproven}" in str(result)
    base, kept, tuned = (
        load_file(path / "model.safetensors") for path in (tiny, result.path, result.path / "unproven")
    )
    assert all(base[name].equal(kept[name]) for name in base)
    assert not all(base[name].equal(tuned[name]) for name in base)
    assert FineTunedEmbedder(result.path / "unproven", device="cpu").embed_query("who")


def test_who_asks_for_no_judging_gets_the_tuned_model_and_is_told_so(tiny, tmp_path):
    result = FineTuner(config(tiny, tmp_path / "out", max_steps=2, validation_share=0)).train(PAIRS)
    assert result.kept == "tuned"
    assert "validation_share is 0" in result.unproven


def test_a_proven_run_says_nothing_of_it(trained):
    assert trained.unproven is None
    assert "unproven" not in str(trained)


def test_one_query_for_all_pairs_teaches_nothing_and_is_refused_before_work(tiny, tmp_path):
    pairs = [{**pair, "query": "who keeps it"} for pair in make_pairs(30)]
    with pytest.raises(DataError, match=r"all \d+ training pairs have one query"):
        FineTuner(config(tiny, tmp_path / "out", validation_share=0)).train(pairs)
    assert not list(tmp_path.iterdir())


def test_a_rank_left_over_from_elsewhere_is_no_reason_to_wait(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    assert FineTuner(config(tiny, tmp_path / "out", max_steps=1)).train(PAIRS).steps == 1
