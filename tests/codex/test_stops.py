"""A run whose exchange fails stops before the host's own embedder can take over."""

import os
from pathlib import Path

import pytest
from runs_of_hosts import SCRIPTS_A, lay_out, plainly, run

import dragon_finetune

OUT = "print('the host runs', flush=True)\n"
BROKEN = {  # what lies first on the path, in the way of our hook
    "a wrapt that can't be imported": ("wrapt/__init__.py", "raise RuntimeError('wrong build')\n"),
    "a wrapt of another form": ("wrapt/importer.py", ""),
    "a wrapt that exits": ("wrapt/__init__.py", "raise SystemExit(0)\n"),
    "a wrapt with an error of its own kind": ("wrapt/__init__.py", "class E(BaseException): pass\nraise E('x' * 9)\n"),
    "a half of our own": ("dragon_finetune/__init__.py", "import no_such_module\n"),
}


def put(folder, place, text):
    file = folder / place
    file.parent.mkdir(parents=True, exist_ok=True)
    for package in file.relative_to(folder).parents[:-1]:
        (folder / package / "__init__.py").touch()
    file.write_text(text, encoding="utf-8")


def started(folder, first):
    """Start Python as `run` does, with another folder before what is installed."""
    paths = [Path(dragon_finetune.__file__).parent / "codex" / "boot", first]
    environment = {"PYTHONPATH": os.pathsep.join(map(str, paths)), "DRAGON_FINETUNE_PYTHONPATH": str(first)}
    return plainly(folder, "script.py", env=environment)


@pytest.mark.parametrize("what", BROKEN)
def test_a_hook_that_cannot_be_installed_stops_the_host(tmp_path, what):
    put(tmp_path / "first", *BROKEN[what])
    (tmp_path / "script.py").write_text(OUT, encoding="utf-8")
    done = started(tmp_path, tmp_path / "first")
    assert (done.returncode, done.stdout) == (3, "")
    assert "embedder can't be put in place" in done.stderr
    assert "Nothing was run" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_machines_own_sitecustomize_fails_as_in_a_plain_run(tmp_path):
    put(tmp_path, "own/sitecustomize.py", "raise KeyError('of the machine')\n")
    (tmp_path / "script.py").write_text(OUT + "import sys; print('wrapt.importer' in sys.modules)", encoding="utf-8")
    plain = plainly(tmp_path, "script.py", env={"PYTHONPATH": str(tmp_path / "own")})
    ours = started(tmp_path, tmp_path / "own")
    assert (plain.returncode, ours.returncode) == (0, 0)
    assert ours.stderr == plain.stderr
    assert "Error in sitecustomize" in ours.stderr
    assert ours.stdout.split()[-1] == "True"


OTHER_FORM = {
    "src/utils/util_embedding.py": "def embed_texts(texts): return [[1.0]]\n",
    "utils/util_embedding.py": "class VectorStoreManager: pass\n",
    "src/utils/embedding/embedding_factory.py": "MANAGERS = {}\n",
    "utils/embedding/embedding_factory.py": "EMBEDDING_MANAGERS = None\n",
    "src/utils/util_chunking_functions.py": "def chunk(text): return [text]\n",
    "src/utils/chunking/chunking_strategies.py": "class Chunker: pass\n",
}
SWITCHED = {"embedding": "EMBEDDER=finetuned\n", "chunking": "CHUNKER=token_aware\nEMBEDDER=finetuned\n"}


def importing(place):
    name = place.removesuffix(".py").replace("/", ".")
    return f"try:\n    import {name}\nexcept BaseException:\n    pass\n{OUT}"


@pytest.mark.parametrize("place", OTHER_FORM)
def test_a_known_module_of_another_form_stops_the_host_where_ours_is_wanted(tmp_path, tiny, place):
    put(tmp_path, place, OTHER_FORM[place])
    put(tmp_path, "script.py", importing(place))
    kind = "embedding" if "embedding" in place else "chunking"
    (tmp_path / ".env").write_text(f"{SWITCHED[kind]}FINETUNED_MODEL_PATH={tiny}\n", encoding="utf-8")
    stopped = run(tmp_path, "script.py")
    assert (stopped.returncode, stopped.stdout) == (3, ""), stopped.stderr
    assert place.removesuffix(".py").replace("/", ".") in stopped.stderr
    assert len(stopped.stderr.splitlines()) == 1
    (tmp_path / ".env").write_text("EMBEDDER=host\n", encoding="utf-8")
    assert run(tmp_path, "script.py").stdout == "the host runs\n"


def test_a_switch_that_the_hosts_config_alone_names_stops_it_too(tmp_path):
    put(tmp_path, "src/utils/util_embedding.py", "")
    put(tmp_path, "src/utils/config.py", "class Config:\n    def __init__(self):\n        self.EMBEDDER = 'base'\n")
    put(tmp_path, "script.py", importing("src/utils/util_embedding.py"))
    done = run(tmp_path, "script.py", env={"BASE_MODEL_PATH": "embedded"})
    assert (done.returncode, done.stdout) == (3, ""), done.stderr


def test_a_host_of_another_form_embeds_nothing(tmp_path, env_of):
    host = lay_out("a", tmp_path / "host", env_of["finetuned"])
    text = (host / "src/utils/util_embedding.py").read_text(encoding="utf-8")
    (host / "src/utils/util_embedding.py").write_text(text.replace("VectorStoreManager", "Manager"), encoding="utf-8")
    assert run(host, "-m", SCRIPTS_A[0]).returncode == 3
    assert not list((host / "data").rglob("*.pkl"))
