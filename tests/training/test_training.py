"""A training run as its user sees it: what it says, what it refuses, the command."""

import json
import re
import shutil

import pytest
from conftest import build_model, make_pairs
from runs_of_training import PAIRS, config

from dragon_finetune import FinalStatsCallback, FineTuner, TrainingConfig
from dragon_finetune.errors import ModelError, SettingsError, TokenLimitError


def test_training_learns_and_says_how_it_went(trained):
    assert trained.kept == "tuned" or trained.kept.startswith("blend")
    assert trained.validation["kept"] > trained.validation["base"]
    assert trained.verdict["outcome"] == "better"
    assert max(trained.curve.values()) >= trained.validation["base"]
    losses = [entry["loss"] for entry in trained.log_history if "loss" in entry]
    assert losses[-1] < losses[0]
    assert trained.pairs == {"training": 96, "validation": 24}
    assert trained.steps == 36
    assert trained.examples_per_second == pytest.approx(96 * 3 / trained.seconds)
    assert trained.tokens_per_second > trained.examples_per_second


def test_texts_over_the_limit_are_refused_before_training(tiny, tmp_path):
    pairs = [*PAIRS, {"query": "who", "positive_text": "long " * 300}]
    with pytest.raises(TokenLimitError, match=r"1 of 82 texts exceed the limit of 64"):
        FineTuner(config(tiny, tmp_path / "out")).train(pairs)
    assert not list(tmp_path.iterdir())
    assert FineTuner(config(tiny, tmp_path / "out", on_overflow="truncate", max_steps=1)).train(pairs).steps == 1


def test_final_stats_work_on_any_trainer(tmp_path):
    import torch
    from transformers import Trainer, TrainingArguments

    class Line(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Linear(1, 1)

        def forward(self, x, labels):
            prediction = self.weight(x)
            return {"loss": ((prediction - labels) ** 2).mean(), "logits": prediction}

    stats = FinalStatsCallback(tokens_per_example=3)
    data = [{"x": torch.tensor([float(n)]), "labels": torch.tensor([2.0 * n])} for n in range(10)]
    arguments = TrainingArguments(
        str(tmp_path), max_steps=4, report_to="none", logging_steps=1, use_cpu=True, disable_tqdm=True,
        dataloader_pin_memory=False,
    )  # fmt: skip
    Trainer(Line(), arguments, train_dataset=data, callbacks=[stats]).train()
    assert stats.stats.steps == 4
    assert stats.stats.final_loss == stats.stats.log_history[-1]["train_loss"]
    assert stats.stats.tokens_per_second == pytest.approx(3 * stats.stats.examples_per_second)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"epoch": 2}, "unknown training setting 'epoch'. Did you mean 'epochs'"),
        ({"epochs": 0}, "epochs is 0"),
        ({"learning_rate": 10}, "learning_rate is 10"),
        ({"learning_rate": 0}, "learning_rate is 0"),
        ({"precision": "fp8"}, "precision is 'fp8'"),
    ],
)
def test_bad_settings_are_refused(settings, words):
    with pytest.raises(SettingsError, match=words):
        TrainingConfig(base_model="embedded", output_dir="out", **settings)


@pytest.mark.slow
def test_the_command_leaves_stdout_to_json_and_names_bad_input(cli, write_jsonl, tmp_path):
    model = build_model(tmp_path / "base", "wordpiece")
    done = cli("train", write_jsonl("pairs.jsonl", PAIRS), "--base-model", model, "--output", "out", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["pairs"] == {"training": 40, "validation": 40}
    plan = cli("train", "pairs.jsonl", "--base-model", model, "--output", "out3", "--dry-run")
    assert not re.search(r"\w\(\w+=", plan.stdout), "an object's repr"
    assert "Nothing was trained" in plan.stdout
    assert re.search(r"6 steps and \d+ of halves that judge", plan.stdout)
    assert not (tmp_path / "out3").exists()
    missing = cli("train", "none.jsonl", "--base-model", model, "--output", "out2")
    assert (missing.returncode, missing.stdout) == (2, "")
    assert "none.jsonl does not exist" in missing.stderr


@pytest.mark.parametrize(
    ("pairs", "settings"),
    [
        (make_pairs(10), {"batch_size": 512}),
        (make_pairs(2), {"validation_share": 0}),
        (make_pairs(20), {"warmup": 1000}),
    ],
)
def test_small_data_trains_and_says_what_it_was(tiny, tmp_path, pairs, settings):
    result = FineTuner(config(tiny, tmp_path / "out", **settings)).train(pairs)
    assert result.steps >= 1
    assert sum(result.pairs.values()) == len(pairs)


def test_a_base_without_pooling_is_refused(tiny, tmp_path):
    base = shutil.copytree(tiny, tmp_path / "base")
    modules = json.loads((base / "modules.json").read_text(encoding="utf-8"))
    kept = [module for module in modules if "Pooling" not in module["type"]]
    (base / "modules.json").write_text(json.dumps(kept), encoding="utf-8")
    with pytest.raises(ModelError, match="has no pooling"):
        FineTuner(config(base, tmp_path / "out")).train(PAIRS)
