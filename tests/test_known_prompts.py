"""Models of families that want prompts are named where they have none; other models never are."""

import json
import shutil
import warnings

import pytest
from conftest import make_pairs

from dragon_finetune import FineTunedEmbedder, FineTuner, TrainingConfig, audit_tokens
from dragon_finetune.errors import SettingsError
from dragon_finetune.known_prompts import family_of, prompts_named
from dragon_finetune.model_folder import ModelFolder, Prompts

OF_A_FAMILY = {
    "nomic-embed-text-v1.5": "nomic",
    "nomic-ai_nomic-embed-text-v1": "nomic",
    "models--nomic-ai--nomic-embed-text-v2-moe/snapshots/0123abcd": "nomic",
    "e5-base-v2": "e5",
    "intfloat--multilingual-e5-small": "e5",
    "multilingual-e5-large-instruct": "e5-instruct",
    "bge-small-en-v1.5": "bge",
    "BAAI/bge-large-en": "bge",
    "embeddinggemma-300m": "embeddinggemma",
    "models--Qwen--Qwen3-Embedding-0.6B/snapshots/0123abcd": "qwen3",
}
OF_NONE = [
    *("model", "e5", "nomic", "bge-m3", "bge-small-zh-v1.5", "bge-small-en-v1.5-novels", "our-e5-base"),
    *("e5-base-v2.old", "nomic-embed-text-v1.5/tuned", "all-MiniLM-L6-v2"),
]


@pytest.fixture
def named(tiny_models, tmp_path):
    """Return a function that copies a model without prompts under a name."""
    return lambda name: shutil.copytree(tiny_models["wordpiece"], tmp_path / name)


def embed(model, **options):
    FineTunedEmbedder(model, device="cpu", engine="torch", precision="fp32", **options).embed_documents(["the tide"])


@pytest.mark.parametrize(("name", "family"), OF_A_FAMILY.items())
def test_a_model_of_a_family_is_embedded_with_one_warning_that_names_its_prompts(name, family, named):
    model = named(name)
    assert family_of(ModelFolder.open(model)) == family
    with pytest.warns(UserWarning, match=f"of the family {family}, which documents.*--prompts {family}") as told:
        embed(model)
        embed(model)
        audit_tokens(["the tide"], model)
    assert len(told) == 1
    assert repr(prompts_named(family).query) in str(told[0].message)


@pytest.mark.parametrize("name", OF_NONE)
def test_other_models_are_not_taken_for_one(name, named):
    embed(named(name))  # warnings are errors here


def test_whoever_has_chosen_is_not_told(named, tiny, tmp_path):
    embed(named("e5-base"), prompts={"query": "", "document": ""})
    embed(shutil.copytree(tiny, tmp_path / "e5-small"))  # the folder has prompts


def train(model, out, **settings):
    config = TrainingConfig(base_model=model, output_dir=out, max_steps=2, device="cpu", halves=False, **settings)
    return FineTuner(config).train(make_pairs(20)).path


def test_training_and_what_it_made_are_told_and_a_choice_ends_it(named, tmp_path):
    model = named("e5-base-v2")
    with pytest.warns(UserWarning, match="family e5"):
        silent = train(model, tmp_path / "silent")
    with pytest.warns(UserWarning, match="was trained without them. Train it again with --prompts e5"):
        embed(silent)
    embed(train(model, tmp_path / "none", query_prompt="", document_prompt=""))
    embed(train(model, tmp_path / "chosen", query_prompt="query: ", document_prompt="passage: "))


def test_an_unknown_family_is_refused_by_the_nearest():
    assert prompts_named("none") == Prompts()
    with pytest.raises(SettingsError, match="Did you mean 'nomic'"):
        prompts_named("nomik")


@pytest.mark.parametrize(("given", "saved"), [("e5", ("query: ", "passage: ")), ("none", ("", ""))])
def test_the_command_trains_with_a_familys_prompts(cli, write_jsonl, named, tmp_path, given, saved):
    pairs, model = write_jsonl("pairs.jsonl", make_pairs(20)), named("e5-base-v2")
    (tmp_path / "train.yaml").write_text("max_steps: 2\ndevice: cpu\n", encoding="utf-8")
    options = ("--base-model", model, "--output", "out", "--config", "train.yaml", "--prompts", given)
    done = cli("train", pairs, *options)
    assert done.returncode == 0, done.stderr
    assert "family e5" not in done.stderr
    prompts = ModelFolder.open(tmp_path / "out").prompts
    assert (prompts.query, prompts.document) == saved
    card = json.loads((tmp_path / "out" / "dragon_finetune.json").read_text(encoding="utf-8"))
    assert (card["settings"]["query_prompt"], card["settings"]["document_prompt"]) == saved


def test_the_command_refuses_an_unknown_family(cli, write_jsonl, named):
    pairs, model = write_jsonl("pairs.jsonl", make_pairs(20)), named("e5-base-v2")
    refused = cli("train", pairs, "--base-model", model, "--output", "out", "--prompts", "e6")
    assert (refused.returncode, "Did you mean 'e5'" in refused.stderr) == (2, True)


def test_nothing_is_warned_of_the_packaged_model():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        embed("embedded")
