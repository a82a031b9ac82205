"""The seam: what is installed, by whom, what failed, and that one broken plugin takes nobody down."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pluggy
import pytest

from dragon_finetune import create_chunker, create_embedder, create_trainer, hookspecs, host
from dragon_finetune.errors import PluginError, SettingsError

ROOT = Path(__file__).parents[1]


def test_what_we_offer():
    offers = {(offer.kind, offer.name) for offer in host.find_plugins().offers if offer.plugin.startswith("finetune")}
    assert offers == {
        ("embedder", "base"),
        ("embedder", "finetuned"),
        ("chunker", "token_aware"),
        ("trainer", "sentence_transformers"),
    }


def test_a_second_plugin_is_listed_and_a_broken_one_named_and_skipped(cli, site):
    done = cli("plugins", "--json", PYTHONPATH=str(site))
    listing = json.loads(done.stdout)
    assert done.returncode == 0
    assert {"kind": "embedder", "name": "letters", "plugin": "letters (codex-letters-embedder 1.0)"} in listing[
        "offers"
    ]
    assert listing["failures"] == {
        "broken (codex-broken-embedder 1.0)": "ModuleNotFoundError: No module named 'a_library_that_is_not_installed'"
    }
    text = cli("plugins", PYTHONPATH=str(site)).stdout
    assert re.search(r"embedder\s+letters\s+letters \(codex-letters-embedder 1.0\)", text)
    assert "failed    broken (codex-broken-embedder 1.0): ModuleNotFoundError" in text


def test_the_second_plugins_embedder_works_through_the_switch(site):
    code = "from dragon_finetune import create_embedder as c; print(c({'embedder': 'letters'}).embed_query('abba')[:3])"
    environment = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert json.loads(done.stdout) == pytest.approx([2**-0.5, 2**-0.5, 0.0])


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(PluginError, match=r"embedder 'finetune'. Did you mean 'finetuned'\? Known: base, finetuned"):
        create_embedder({"embedder": "finetune"})


def test_every_factory_builds_lazily_from_the_hosts_whole_mapping(tiny, tmp_path):
    config = {
        "embedder": "base",
        "base": {"model_path": str(tiny)},
        "finetuned": {"model_path": str(tmp_path / "tuned")},
        "training": {"epochs": 2},
        "chroma_path": "the host's own",
    }
    assert create_embedder(config).embed_query("who")
    assert create_chunker(config)("Salt and lamp.") == ["Salt and lamp."]
    assert create_trainer(config).config.epochs == 2


def test_finetuned_without_a_trained_model_says_how_to_train(tmp_path):
    with pytest.raises(SettingsError, match=r"none at .*tuned. Train one: `dragon-finetune train"):
        create_embedder({"embedder": "finetuned", "finetuned": {"model_path": str(tmp_path / "tuned")}})


def test_base_defaults_to_what_the_tuned_folder_records(tiny, tmp_path):
    (tmp_path / "dragon_finetune.json").write_text(json.dumps({"base_model": str(tiny)}), encoding="utf-8")
    config = {"embedder": "base", "finetuned": {"model_path": str(tmp_path)}}
    assert create_embedder(config).folder.path == tiny


class Duplicate:
    @hookspecs.hookimpl
    def codex_embedders(self):
        return {"base": lambda config: None}


class Raises:
    @hookspecs.hookimpl
    def codex_embedders(self):
        raise RuntimeError("no licence")


class Mistyped:
    @hookspecs.hookimpl
    def codex_embeders(self):
        return {}


class Silent:
    pass


class FakeEntry:
    def __init__(self, name, plugin):
        self.name, self.plugin, self.dist = name, plugin, None

    def load(self):
        return self.plugin


@pytest.fixture
def install(monkeypatch):
    """Pretend that plugins are installed beside ours."""

    def pretend(**plugins):
        real = list(host.entry_points(group=hookspecs.PROJECT))
        fake = [FakeEntry(name, plugin) for name, plugin in plugins.items()]
        monkeypatch.setattr(host, "entry_points", lambda group: [*real, *fake])

    return pretend


def test_two_claims_on_one_name_are_an_error_that_names_both(install):
    install(rival=Duplicate())
    with pytest.raises(PluginError, match=r"'base' is offered by finetune \(dragon-finetune .*\) and rival"):
        create_embedder({"embedder": "base"})


@pytest.mark.parametrize(
    ("plugin", "reason"),
    [
        (Raises(), "no licence"),
        (Mistyped(), "unknown hook 'codex_embeders'"),
        (Duplicate, "is a class"),
        (Silent(), "implements none of the hooks"),
    ],
)
def test_bad_plugins_are_named_and_skipped(install, plugin, reason):
    install(bad=plugin, good=Duplicate())
    found = host.find_plugins()
    assert list(found.failures) == ["bad"]
    assert reason in found.failures["bad"]
    assert {"good"} < {offer.plugin for offer in found.offers}


def test_a_new_manager_each_time():
    assert isinstance(host.plugin_manager(), pluggy.PluginManager)
    assert host.plugin_manager() is not host.plugin_manager()
