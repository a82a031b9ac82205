"""What can't be exchanged stops the host: else an index of the wrong model would be made without a word."""

import os

import pytest
from runs_of_hosts import call, run

SCRIPT = "print('the host ran')"


@pytest.fixture
def host(tmp_path, tiny):
    (tmp_path / "script.py").write_text(SCRIPT, encoding="utf-8")
    (tmp_path / ".env").write_text(f"EMBEDDER=finetuned\nFINETUNED_MODEL_PATH={tiny}\n", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("broken", ["raise RuntimeError('broken')", "import a_library_that_is_not_installed", "def ("])
def test_a_hook_that_cannot_be_installed_stops_before_the_host_runs(host, tmp_path_factory, broken):
    trap = tmp_path_factory.mktemp("trap")
    (trap / "wrapt").mkdir()
    (trap / "wrapt" / "__init__.py").write_text(broken, encoding="utf-8")
    done = run(host, "script.py", env={"PYTHONPATH": str(trap)})
    assert done.returncode == 3
    assert done.stdout == ""
    assert "the host was not started" in done.stderr
    assert len(done.stderr.splitlines()) < 5


MODULES = {
    "util_embedding.py": "def embed(texts): return texts\n",
    "embedding/embedding_factory.py": "REGISTRY = {}\n",
}


@pytest.mark.parametrize("module", MODULES)
def test_a_known_module_of_another_form_stops_the_host_while_the_switch_is_on(host, module):
    file = host / "src" / "utils" / module
    file.parent.mkdir(parents=True)
    file.write_text(MODULES[module], encoding="utf-8")
    name = ".".join(("src", "utils", *module.removesuffix(".py").split("/")))
    guarded = f"try:\n    import {name}\nexcept Exception:\n    pass\nprint('the host ran')"
    (host / "script.py").write_text(guarded, encoding="utf-8")
    environment = {"PYTHONPATH": str(host)}
    done = run(host, "script.py", env=environment)
    assert done.returncode == 2
    assert "the host ran" not in done.stdout
    assert f"{name} has another form" in done.stderr
    (host / ".env").write_text("EMBEDDER=host\n", encoding="utf-8")
    assert run(host, "script.py", env=environment).stdout == "the host ran\n"


def test_a_plain_run_is_untouched_by_all_that(host):
    assert call(host, os.sys.executable, "script.py").stdout == "the host ran\n"
    assert run(host, "script.py").stdout == "the host ran\n"
