"""A path is the same path in every place that takes one; what is recorded hangs on no current folder."""

import json
import os

import pytest
from conftest import make_pairs

from dragon_finetune import FineTunedEmbedder, TrainingConfig, create_embedder
from dragon_finetune.files import read_json, read_jsonl, write_json, write_jsonl, write_text
from dragon_finetune.index.bulk import embed_files
from dragon_finetune.index.chroma import open_client
from dragon_finetune.index.chroma_function import embedding_function
from dragon_finetune.search.search import Search
from dragon_finetune.settings import read_options


@pytest.fixture
def home(tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    monkeypatch.chdir(tmp_path)
    return home


def test_files_are_read_and_written_at_home(home):
    write_text("~/a.txt", "x")
    write_json("~/a.json", [1])
    write_jsonl("~/a.jsonl", [{"a": 1}])
    assert read_json("~/a.json") == [1]
    assert list(read_jsonl("~/a.jsonl")) == [(1, {"a": 1})]
    assert sorted(path.name for path in home.iterdir()) == ["a.json", "a.jsonl", "a.txt"]


def test_settings_hold_absolute_paths(home, tiny, monkeypatch):
    config = TrainingConfig(base_model="embedded", output_dir="~/models/x", general_pairs="~/general.jsonl")
    assert config.output_dir == home / "models" / "x"
    assert config.general_pairs == home / "general.jsonl"
    assert config.base_model == "embedded"
    assert TrainingConfig(base_model=os.path.relpath(tiny), output_dir="out").base_model == str(tiny)
    monkeypatch.setenv("FINETUNED_STORE", "~/stores")
    options = read_options("finetuned", {"finetuned": {"model_path": os.path.relpath(tiny)}})
    assert (options.model_path, options.store) == (str(tiny), str(home / "stores"))
    assert Search(home / "p.jsonl", {"base_model": "-", "output_dir": "~/search"}).folder == home / "search"


def test_shards_and_stores_lie_at_home(home, tiny):
    write_jsonl("~/chunks.jsonl", [{"text": "who lit the lamp"}])
    embedder = FineTunedEmbedder(os.path.relpath(tiny), device="cpu", precision="fp32", engine="torch")
    embed_files(["~/chunks.jsonl"], "~/shards", embedder)
    open_client("~/store")
    assert {"chunks.jsonl", "shards", "store"} <= {path.name for path in home.iterdir()}
    assert not (home.parent / "~").exists()
    assert embedding_function(embedder).get_config()["model_path"] == str(tiny)


def test_a_run_at_home_is_found_again_by_either_way_to_name_it(home, tiny, cli, write_jsonl):
    write_jsonl("pairs.jsonl", make_pairs(20))
    command = ["train", "pairs.jsonl", "--base-model", tiny, "--epochs", "0.2", "--batch-size", "8"]
    settings = home.parent / "settings.yaml"
    settings.write_text("output_dir: ~/models/x\ndevice: cpu\n", encoding="utf-8")
    first = cli(*command, "--config", settings, "--json")
    assert first.returncode == 0, first.stderr
    stamp = (home / "models" / "x" / "model.safetensors").stat().st_mtime_ns
    second = cli(*command, "--config", settings, "--output=~/models/x", "--json")
    assert json.loads(second.stdout)["path"] == str(home / "models" / "x")
    assert (home / "models" / "x" / "model.safetensors").stat().st_mtime_ns == stamp
    embedder = create_embedder({"embedder": "finetuned", "finetuned": {"model_path": "~/models/x", "device": "cpu"}})
    assert embedder.embed_query("who lit the lamp")
