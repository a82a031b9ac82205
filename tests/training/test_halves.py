"""Few pairs judge themselves by halves: what is judged, when that is done, and what a kill leaves."""

import json

import numpy as np
import pytest
from conftest import make_pairs
from hypothesis import given
from hypothesis import strategies as st
from runs_of_training import PAIRS
from runs_of_training import config as config_of

from dragon_finetune import FineTuner
from dragon_finetune.errors import DataError, SettingsError, StoppedError
from dragon_finetune.pair import Pair, read_pairs
from dragon_finetune.training import halves
from dragon_finetune.training.judgement import Judgement
from dragon_finetune.training.judges import HELD_BACK_ENOUGH, by_halves, halves_of


def config(model, out, **settings):
    return config_of(model, out, **{"halves": None, **settings})


FAST = {"epochs": 3, "learning_rate": 1e-3}


@pytest.fixture(scope="module")
def judged(tiny, tmp_path_factory):
    out = tmp_path_factory.mktemp("halves") / "out"
    return FineTuner(config(tiny, out, **FAST)).train(make_pairs(60))


def test_all_queries_judge_and_all_pairs_are_trained_on(judged):
    assert judged.pairs == {"training": 60, "validation": 60}
    assert judged.verdict["queries"] == 60
    assert judged.verdict["tried"] == 2
    assert judged.steps == 3 * -(-60 // 8)


def test_the_weights_are_those_of_all_pairs_unjudged_or_of_their_blend(judged, tiny, tmp_path):
    """What the halves trained leaves no trace but their verdict."""
    from safetensors.torch import load_file

    plain = FineTuner(config(tiny, tmp_path / "out", validation_share=0, **FAST)).train(make_pairs(60))
    share = judged.verdict["share"]
    assert share > 0, judged
    base, whole, kept = (load_file(f"{folder}/model.safetensors") for folder in (tiny, plain.path, judged.path))
    for name, tensor in kept.items():
        assert np.allclose(tensor, (1 - share) * base[name] + share * whole[name], atol=1e-6), name


def test_no_query_judges_what_was_trained_on_it(tiny, tmp_path, monkeypatch):
    trained = []
    fit = halves.fit
    monkeypatch.setattr(halves, "fit", lambda *given, **named: (trained.append(given[3]), fit(*given, **named)))
    asked = []
    judge = halves.Validation.judge
    monkeypatch.setattr(
        halves.Validation, "judge", lambda self, model: (asked.append(self.queries), judge(self, model))[1]
    )
    FineTuner(config(tiny, tmp_path / "out", max_steps=2)).train(PAIRS)
    first, second = ({row["query"] for table in each.tables() for row in table} for each in trained)
    assert not first & second
    assert first | second == {pair["query"] for pair in PAIRS}
    assert [set(each) for each in asked[:3]] == [second] * 3
    assert [set(each) for each in asked[3:6]] == [first] * 3


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 12)), min_size=8, max_size=60), st.integers(0, 5))
def test_halves_are_all_pairs_and_share_neither_query_nor_passage(drawn, seed):
    pairs = [
        Pair(f"query {q} " + "abcdefghijklmnop"[q % 16] * 9, f"passage {p} " + "qrstuvwxyz"[p % 10] * 9)
        for q, p in drawn
    ]
    found = halves_of(pairs, config("embedded", "out", seed=seed))
    if found:
        first, second = found
        assert sorted(map(str, [*first, *second])) == sorted(map(str, pairs))
        assert not {pair.query for pair in first} & {pair.query for pair in second}


@pytest.mark.parametrize("count", [2, 3])
def test_too_few_for_halves_that_teach_are_refused_before_work(tiny, tmp_path, count):
    """A half of one query tells nothing apart, and one query judges nothing: as before there were halves."""
    with pytest.raises(DataError, match=f"no pair of {count} can be held back"):
        FineTuner(config(tiny, tmp_path / "out", validation_share=0.1)).train(make_pairs(count))
    assert not list(tmp_path.iterdir())


def test_halves_that_were_asked_for_and_can_not_be_had_are_refused(tiny, tmp_path):
    one = [{**pair, "query": "who keeps the oar"} for pair in make_pairs(30)]
    with pytest.raises(SettingsError, match=r"halves is true, but \d+ pairs fall into no two halves"):
        FineTuner(config(tiny, tmp_path / "out", halves=True)).train([*one, *make_pairs(32)[30:]])
    assert not list(tmp_path.iterdir())


def test_when_it_is_done(tmp_path, monkeypatch):
    few, many = read_pairs(make_pairs(40)), read_pairs(make_pairs(5 * HELD_BACK_ENOUGH))
    lifted = [*few, Pair("the lamp", "the lamp burns", metadata={"source": "hybrid"})]
    assert by_halves(few, config("embedded", tmp_path))
    assert not by_halves(many, config("embedded", tmp_path))
    assert by_halves(many, config("embedded", tmp_path, halves=True))
    assert not by_halves(few, config("embedded", tmp_path, halves=False))
    assert not by_halves(few, config("embedded", tmp_path, validation_share=0))
    assert not by_halves(lifted, config("embedded", tmp_path))
    with pytest.raises(SettingsError, match="halves is true, but some pairs are words of their passages"):
        by_halves(lifted, config("embedded", tmp_path, halves=True))
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert not by_halves(few, config("embedded", tmp_path))


def test_a_half_that_is_judged_is_not_trained_again(tiny, tmp_path, monkeypatch):
    """Stopped in the second half, the run goes on there and ends as the uninterrupted one does."""
    whole = FineTuner(config(tiny, tmp_path / "whole", **FAST)).train(PAIRS)
    fit, fits = halves.fit, []

    def stopping(*given, **named):
        fits.append(given[3])
        if len(fits) == 2:
            raise StoppedError("told to stop")
        fit(*given, **named)

    monkeypatch.setattr(halves, "fit", stopping)
    with pytest.raises(StoppedError):
        FineTuner(config(tiny, tmp_path / "out", **FAST)).train(PAIRS)
    said = (tmp_path / "out.work" / "half-1.json").read_bytes()
    assert json.loads(said)["sources"]
    result = FineTuner(config(tiny, tmp_path / "out", **FAST)).train(PAIRS)
    assert len(fits) == 3
    assert result.verdict == whole.verdict
    assert result.fingerprint == whole.fingerprint


def test_the_plan_counts_the_steps_of_halves(tiny, tmp_path):
    plan = FineTuner(config(tiny, tmp_path / "out")).plan(PAIRS)
    assert plan.steps == 10
    assert 10 <= plan.judging_steps <= 12  # each half's last batch may be short
    assert plan.seconds == pytest.approx((plan.steps + plan.judging_steps) * plan.seconds_per_step)
    assert f"and {plan.judging_steps} of halves that judge" in str(plan)


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=9), st.lists(st.floats(0, 1), min_size=1, max_size=9), st.booleans()
)
def test_what_is_said_is_written_and_read_and_put_together(left, right, words):
    parts = [Judgement(np.array(each), np.array(each) if words else None, words, 0.5) for each in (left, right)]
    back = [halves._read(json.loads(json.dumps(halves._written(each)))) for each in parts]
    assert Judgement.together(back).ndcg.tolist() == [*left, *right]
