"""Plugins that misbehave are named and skipped; they take neither the host nor another plugin down."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = Path(sys.executable).with_name("dragon-finetune")
IMPORT = "from dragon_finetune import hookimpl\n"
HOOK = IMPORT + "@hookimpl\ndef codex_embedders():\n    "
MODULES = {
    "exits at import": "import sys; sys.exit(0)",
    "raises at import": "raise RuntimeError('broken')",
    "raises a base exception": "class Odd(BaseException): pass\nraise Odd('odd')",
    "is no Python": "def (",
    "has no hook": "x = 1",
    "has a mistyped hook": IMPORT + "@hookimpl\ndef codex_embeders():\n    return {}",
    "exits in a hook": HOOK + "raise SystemExit(0)",
    "raises in a hook": HOOK + "raise KeyError('x')",
    "raises a base exception in a hook": HOOK + "raise GeneratorExit",
    "returns a number": HOOK + "return 7",
    "returns a list": HOOK + "return ['a']",
    "returns a name that is none": HOOK + "return {7: print}",
    "returns what cannot be called": HOOK + "return {'odd': 7}",
    "never ends its names": HOOK + "return {'a' * 10_000: 7}",
}
FACTORIES = {
    "raises": "raise RuntimeError('out of luck')",
    "exits": "raise SystemExit(0)",
    "gives nothing": "return None",
}


def install(folder, name, source):
    """Lay a distribution with one plugin into a folder that goes onto the path."""
    module = f"plugin_{name}"
    (folder / f"{module}.py").write_text(source, encoding="utf-8")
    info = folder / f"codex_{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: codex-{name}\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[dragons_codex]\n{name} = {module}\n", encoding="utf-8")
    return {**os.environ, "PYTHONPATH": str(folder)}


def ask(code, environment):
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("how", MODULES)
def test_a_plugin_that_misbehaves_is_named_and_the_others_answer(tmp_path, how):
    environment = install(tmp_path, "odd", MODULES[how])
    done = subprocess.run([COMMAND, "plugins", "--json"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    listing = json.loads(done.stdout)
    assert list(listing["failures"]) == ["odd (codex-odd 1.0)"]
    assert {offer["name"] for offer in listing["offers"]} >= {"finetuned", "base", "token_aware"}


@pytest.mark.parametrize("how", FACTORIES)
def test_a_factory_that_misbehaves_is_named(tmp_path, how):
    source = f"{HOOK}return {{'odd': make}}\ndef make(config):\n    {FACTORIES[how]}"
    environment = install(tmp_path, "odd", source)
    code = (
        "from dragon_finetune import create_embedder\n"
        "from dragon_finetune.errors import PluginError\n"
        "try: create_embedder({'embedder': 'odd'})\n"
        "except PluginError as error: print(error)"
    )
    done = ask(code, environment)
    assert "odd (codex-odd 1.0)" in done.stdout, done.stderr
    assert "embedder 'odd'" in done.stdout


def test_our_own_errors_pass_through_a_factory_as_they_are(tmp_path):
    from dragon_finetune import create_embedder
    from dragon_finetune.errors import SettingsError

    with pytest.raises(SettingsError, match="needs a trained model"):
        create_embedder({"embedder": "finetuned", "finetuned": {"model_path": str(tmp_path / "none")}})


def test_what_a_plugin_prints_is_no_part_of_the_answer(tmp_path):
    environment = install(tmp_path, "loud", "print('hello')\n" + HOOK + "print('again'); return {'loud': print}")
    done = subprocess.run([COMMAND, "plugins", "--json"], env=environment, capture_output=True, text=True, check=False)
    assert "loud" in {offer["name"] for offer in json.loads(done.stdout)["offers"]}
    assert "hello" in done.stderr


def test_ctrl_c_while_plugins_load_is_the_users(tmp_path):
    environment = install(tmp_path, "slow", "raise KeyboardInterrupt")
    assert ask("from dragon_finetune.host import find_plugins; find_plugins()", environment).returncode != 0
