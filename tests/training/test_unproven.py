"""A run that can prove nothing says so, and keeps the base; one that can teach nothing does not start."""

import pytest
from conftest import make_pairs
from runs_of_training import PAIRS, config
from safetensors.torch import load_file

from dragon_finetune import FineTuner
from dragon_finetune.errors import DataError

OF_ONE_DOCUMENT = [{**pair, "positive_chunk_id": "c1"} for pair in make_pairs(12)]
OF_ONE_PASSAGE = [{**pair, "positive_text": "The ledger lies."} for pair in make_pairs(12)]


@pytest.mark.parametrize("pairs", [OF_ONE_DOCUMENT, OF_ONE_PASSAGE, make_pairs(3)])
def test_where_nothing_can_be_held_back_the_base_is_kept(tiny, tmp_path, pairs):
    result = FineTuner(config(tiny, tmp_path / "out", max_steps=2)).train(pairs)
    assert result.pairs["validation"] == 0
    assert result.kept == "base"
    assert "no pair could be held back" in result.unproven
    assert f"unproven: {result.unproven}" in str(result)
    base, kept = (load_file(path / "model.safetensors") for path in (tiny, result.path))
    assert all(base[name].equal(kept[name]) for name in base)


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
