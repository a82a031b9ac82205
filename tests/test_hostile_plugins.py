"""Plugins that do whatever they like: each is named with its reason, and takes nobody down."""

import json
import os
import subprocess
import sys

import pytest

HOOK = "import pluggy\nhookimpl = pluggy.HookimplMarker('dragons_codex')\n"


def offering(body: str, before: str = "") -> str:
    return f"{HOOK}{before}\n@hookimpl\ndef codex_embedders():\n    {body}\n"


UNLOADABLE = {  # name -> (module, what the failure says)
    "exits": ("import sys; sys.exit(0)", "SystemExit: 0"),
    "exits with words": ("raise SystemExit('bye')", "SystemExit: bye"),
    "error of its own": ("class Mine(BaseException): pass\nraise Mine('no')", "Mine: no"),
    "cancelled": ("import asyncio; raise asyncio.CancelledError", "CancelledError"),
    "generator exit": ("raise GeneratorExit", "GeneratorExit"),
    "stop iteration": ("raise StopIteration(3)", "StopIteration: 3"),
    "memory": ("raise MemoryError", "MemoryError"),
    "endless": ("def f(): f()\nf()", "RecursionError"),
    "syntax": ("def", "SyntaxError"),
    "no words": ("class E(Exception):\n    def __str__(self): raise ValueError\nraise E", "E: it does not say why"),
    "many words": ("raise ValueError('x' * 10**7)", "ValueError: xxx"),
    "hook exits": (offering("raise SystemExit"), "codex_embedders: SystemExit"),
    "hook raises": (offering("raise KeyError('k')"), "codex_embedders: KeyError: 'k'"),
    "hook returns none": (offering("pass"), "returned NoneType, not a mapping"),
    "hook returns a list": (offering("return [('a', print)]"), "returned list, not a mapping"),
    "hook returns a text": (offering("return 'embedder'"), "returned str, not a mapping"),
    "hook is a generator": (offering("yield 'a', print"), "returned generator, not a mapping"),
    "hook wants more": (HOOK + "@hookimpl\ndef codex_embedders(config):\n    return {}", "PluginValidationError"),
    "name is a number": (offering("return {7: print}"), "offers the name 7"),
    "name is none": (offering("return {None: print}"), "offers the name None"),
    "name is empty": (offering("return {' ': print}"), "offers the name ' '"),
    "factory is a text": (offering("return {'a': 'module:function'}"), "'a' is str, which can't be called"),
    "factory is none": (offering("return {'a': None}"), "'a' is NoneType, which can't be called"),
    "mapping exits": (
        offering(
            "return M()",
            "import collections\nclass M(collections.UserDict):\n    def __iter__(self): raise SystemExit(9)\n",
        ),
        "codex_embedders: SystemExit: 9",
    ),
    "two hooks fail": (
        offering("raise KeyError(1)") + "@hookimpl\ndef codex_trainers():\n    return 7\n",
        "KeyError: 1; codex_trainers",
    ),
    "mistyped": (HOOK + "@hookimpl\ndef codex_embeders():\n    return {}", "unknown hook 'codex_embeders'"),
    "no hook": ("x = 1", "implements none of the hooks"),
}
FACTORIES = {  # name -> (factory, what the error says)
    "exits": ("__import__('sys').exit", "SystemExit"),
    "raises": ("lambda config: config['no such key']", "KeyError: 'no such key'"),
    "raises its own": ("lambda config: (_ for _ in ()).throw(Mine('no'))", "Mine: no"),
    "wants nothing": ("lambda: None", "TypeError"),
    "makes none": ("lambda config: None", "is NoneType, which lacks"),
    "makes a class": ("lambda config: 7", "is int, which lacks"),
}


LISTED = "[dragons_codex]\nhostile = hostile_plugin\n"


@pytest.fixture
def plug_in(tmp_path):
    """Return a function that installs a module as a plugin beside ours."""

    def install(
        source: str, listed: str = "[dragons_codex]\nhostile = hostile_plugin\n", metadata: bool = True
    ) -> None:
        (tmp_path / "site").mkdir()
        (tmp_path / "site" / "hostile_plugin.py").write_text(source, encoding="utf-8")
        info = tmp_path / "site" / "hostile-1.0.dist-info"
        info.mkdir()
        if metadata:
            (info / "METADATA").write_text("Metadata-Version: 2.1\nName: hostile\nVersion: 1.0\n", encoding="utf-8")
        (info / "entry_points.txt").write_text(listed, encoding="utf-8")

    return install


def listed(cli, tmp_path) -> dict:
    done = cli("plugins", "--json", PYTHONPATH=str(tmp_path / "site"))
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    names = {offer["name"] for offer in result["offers"] if offer["plugin"].startswith("finetune")}
    assert names == {"base", "finetuned", "token_aware", "sentence_transformers"}
    return result


def in_a_host(tmp_path, code: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    return subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("what", UNLOADABLE)
def test_a_plugin_that_cannot_be_used_is_named_and_ours_still_work(cli, plug_in, tmp_path, what):
    source, reason = UNLOADABLE[what]
    plug_in(source)
    failures = listed(cli, tmp_path)["failures"]
    assert list(failures) == ["hostile (hostile 1.0)"]
    assert reason in failures["hostile (hostile 1.0)"]
    assert len(failures["hostile (hostile 1.0)"]) < 1000


@pytest.mark.parametrize("what", FACTORIES)
@pytest.mark.parametrize("kind", ["embedder", "chunker", "trainer"])
def test_a_factory_that_fails_is_named_with_its_plugin(plug_in, tmp_path, what, kind):
    factory, reason = FACTORIES[what]
    plug_in(
        f"{HOOK}class Mine(BaseException): pass\n@hookimpl\ndef codex_{kind}s():\n    return {{'bad': {factory}}}\n"
    )
    done = in_a_host(
        tmp_path,
        f"from dragon_finetune import create_{kind}\nfrom dragon_finetune.errors import PluginError\n"
        f"try:\n    create_{kind}({{}}, name='bad')\n"
        "except PluginError as error:\n    print(error, '|', type(error.__cause__).__name__)",
    )
    assert done.returncode == 0, done.stderr
    assert f"The {kind} 'bad' of plugin hostile (hostile 1.0)" in done.stdout
    assert reason in done.stdout
    assert done.stdout.rpartition("| ")[2].strip() in (reason.partition(":")[0], "NoneType")


def test_our_own_errors_pass_through_a_factory_unchanged(plug_in, tmp_path):
    plug_in(
        "import pluggy\nfrom dragon_finetune.errors import SettingsError\n"
        "hookimpl = pluggy.HookimplMarker('dragons_codex')\n"
        "def make(config):\n    raise SettingsError('say which')\n"
        "@hookimpl\ndef codex_embedders():\n    return {'bad': make}\n"
    )
    done = in_a_host(tmp_path, "from dragon_finetune import create_embedder\ncreate_embedder({}, name='bad')")
    assert done.stderr.strip().endswith("SettingsError: say which")


PRINTS = [
    "print('noise')",
    "import sys; sys.stdout.write('noise\\n')",
    "import sys; sys.__stdout__.write('noise\\n')",
    "import os; os.write(1, b'noise\\n')",
    "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(\"noise\")'])",
    "import atexit; atexit.register(print, 'noise')",
    "import sys; sys.stdout = open('noise.txt', 'w')",
    "import warnings; warnings.warn('noise')",
]


@pytest.mark.parametrize("act", PRINTS)
@pytest.mark.parametrize("where", ["import", "hook"])
def test_a_plugin_that_prints_leaves_our_json_alone(cli, plug_in, tmp_path, act, where):
    plug_in(offering("return {}", act) if where == "import" else offering(f"{act}; return {{}}"))
    assert listed(cli, tmp_path)["failures"] == {}


ENTRIES = {
    "no section": "hostile = x\n",
    "no module": "[dragons_codex]\nhostile = \n",
    "a sentence": "[dragons_codex]\nhostile = not a module at all\n",
    "an attribute that is not there": "[dragons_codex]\nhostile = hostile_plugin:nothing\n",
    "twice": "[dragons_codex]\nhostile = hostile_plugin\nhostile = hostile_plugin\n",
    "under two names": "[dragons_codex]\nhostile = hostile_plugin\nother = hostile_plugin\n",
    "a class": "[dragons_codex]\nhostile = builtins:dict\n",
}


@pytest.mark.parametrize("metadata", [True, False])
@pytest.mark.parametrize("what", ENTRIES)
def test_a_damaged_list_of_entry_points_takes_nobody_down(cli, plug_in, tmp_path, what, metadata):
    plug_in(offering("return {'theirs': print}"), ENTRIES[what], metadata)
    result = listed(cli, tmp_path)
    works = "theirs" in {offer["name"] for offer in result["offers"]}
    assert works == (what in ("twice", "under two names"))
    assert works or result["failures"] or what == "no section"
