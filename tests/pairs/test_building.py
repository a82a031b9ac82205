"""The whole way from chunk files to a pairs file and on to the trainer."""

import json
import re

import pytest
from codex_of_pairs import CODEX, FILES, read_codex
from hypothesis import given
from hypothesis import strategies as st

from dragon_finetune import FineTuner, TrainingConfig
from dragon_finetune.errors import SettingsError
from dragon_finetune.files import read_jsonl, write_jsonl
from dragon_finetune.pair import Pair, read_pairs
from dragon_finetune.training.mixing import weigh


@pytest.fixture(scope="module")
def codex():
    return read_codex()


@given(st.dictionaries(st.sampled_from("abc"), st.floats(0, 1)), st.integers(0, 9))
def test_weights_keep_their_share_of_each_source(weights, seed):
    pairs = [Pair(f"q{n}", f"p{n}", (), {"source": "abc"[n % 3]}) for n in range(60)]
    kept = weigh(pairs, weights, seed)
    for source in "abc":
        assert sum(pair.metadata["source"] == source for pair in kept) == round(20 * weights.get(source, 1))
    assert kept == weigh(pairs, weights, seed)


def test_the_trainer_takes_weights_and_reports_by_source(tiny, tmp_path):
    pairs = [
        {"query": f"who lit lamp {n} at the {n % 7} gate", "positive_text": f"Jorun {n} lit it.", "source": "ab"[n % 2]}
        for n in range(80)
    ]
    settings = {"base_model": tiny, "output_dir": tmp_path / "out", "max_steps": 2, "device": "cpu"}
    result = FineTuner(TrainingConfig(**settings, source_weights={"b": 0.5}, validation_share=0.2)).train(pairs)
    assert set(result.validation_by_source) == {"a", "b"}
    assert 40 <= result.pairs["training"] <= 52
    with pytest.raises(SettingsError, match="source_weights names 'c'"):
        FineTuner(TrainingConfig(**settings, overwrite=True, source_weights={"c": 0.5})).train(pairs)


@pytest.mark.slow
def test_the_command_from_chunks_to_pairs(cli, tmp_path, tiny):
    avoid = CODEX / "testing" / "questions_100.json"
    arguments = ["pairs", *FILES, "--questions-to-avoid", avoid, "--out", "pairs.jsonl"]
    done = cli(*arguments, "--preview", 6)
    assert done.returncode == 0, done.stderr
    assert re.search(r"\d+ pairs from 258 passages", done.stdout)
    assert done.stdout.count("    -> ") == 6
    assert len(read_pairs(tmp_path / "pairs.jsonl")) > 200
    write_jsonl(tmp_path / "some.jsonl", [record for _, record in list(read_jsonl(FILES[0]))[:20]])
    arguments = ["pairs", "some.jsonl", "--questions-to-avoid", avoid, "--out"]
    cut = cli(*arguments, "cut.jsonl", "--model", tiny, "--hard-negatives", 1, "--json")
    assert cut.returncode == 0, cut.stderr
    assert json.loads(cut.stdout)["passages"] > 4 * 20
    assert any(pair.negatives for pair in read_pairs(tmp_path / "cut.jsonl"))
    refused = cli(*arguments, "none.jsonl", "--hard-negatives", 2)
    assert (refused.returncode, "hard negatives need --model" in refused.stderr) == (2, True)


def test_bad_chunks_are_named(cli, tmp_path):
    write_jsonl(tmp_path / "bad.jsonl", [{"text": "fine text"}, {"body": "x"}])
    done = cli("pairs", "bad.jsonl", "--out", "pairs.jsonl")
    assert (done.returncode, "bad.jsonl, line 2" in done.stderr) == (2, True)
    assert not (tmp_path / "pairs.jsonl").exists()
