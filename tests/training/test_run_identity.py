"""What a run depends on: each ingredient makes it another run, and nothing else does."""

import json
import shutil

import pytest
from runs_of_training import PAIRS, config
from safetensors.torch import load_file, save_file

from dragon_finetune import FineTuner
from dragon_finetune.errors import ModelError


@pytest.fixture(scope="module")
def made(tiny, tmp_path_factory):
    """Return a base of its own and the folder of one short run on it."""
    root = tmp_path_factory.mktemp("identity")
    base = shutil.copytree(tiny, root / "base")
    FineTuner(config(base, root / "out", max_steps=1)).train(PAIRS)
    return root


@pytest.fixture
def folder(made, tmp_path):
    return shutil.copytree(made, tmp_path / "copy")


def again(folder, pairs=PAIRS, base="base", **settings):
    return FineTuner(config(folder / base, folder / "out", max_steps=1, **settings)).train(pairs)


def train_the_base_anew(folder):
    weights = {name: tensor * 1.01 for name, tensor in load_file(folder / "base" / "model.safetensors").items()}
    save_file(weights, folder / "base" / "model.safetensors", metadata={"format": "pt"})


def test_a_base_trained_anew_at_the_same_path_is_another_run(folder):
    train_the_base_anew(folder)
    with pytest.raises(ModelError, match=r"already holds a model .*base"):
        again(folder)


def test_a_killed_runs_checkpoints_are_not_put_on_another_base(folder):
    shutil.move(folder / "out", folder / "out.work")
    card = (folder / "out.work" / "dragon_finetune.json").read_text(encoding="utf-8")
    run = json.loads(card)["run"]
    (folder / "out.work" / "run.json").write_text(json.dumps(run), encoding="utf-8")
    train_the_base_anew(folder)
    with pytest.raises(ModelError, match=r"unfinished run that differs .*base"):
        again(folder)


def test_a_source_of_the_pairs_is_part_of_the_run(folder):
    with pytest.raises(ModelError, match=r"already holds a model .*pairs"):
        again(folder, [{**pair, "source": "wiki"} for pair in PAIRS])


def test_the_same_base_at_another_path_is_the_same_run(folder):
    shutil.move(folder / "base", folder / "moved")
    assert again(folder, base="moved").steps == 1


def test_how_much_is_logged_and_saved_is_no_part_of_the_run(folder):
    assert again(folder, logging_steps=3, save_steps=7).steps == 1
