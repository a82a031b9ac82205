"""Where the host keeps its switch: what `--explain` says is what runs, over all places and orders."""

import json
import os
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from runs_of_hosts import HOSTS, plainly, run

from dragon_finetune.codex.explain import explain

CONFIG = {"a": "src/utils/config.py", "b": "src/utils/config.py", "c": "src/config.py"}
MODULE = {generation: file.removesuffix(".py").replace("/", ".") for generation, file in CONFIG.items()}
LAST = {
    "a": "        self.EMBEDDING_MAX_TOKENS = 2046\n",
    "b": '        self.CHUNKING_STRATEGY = {"BOOKS_CHUNKING_STRATEGY_NAME": '
    'os.environ.get("HOST_STRATEGY", "legacy")}\n',
    "c": "        self.RETRIEVAL_EMBEDDING = dict(self.CHUNKING_EMBEDDING)\n",
}
# What the owner may write as the last line of his Config.__init__; what it says of the embedder.
WRITTEN = {
    "nothing": "",
    "EMBEDDER": "self.EMBEDDER = {name!r}",
    "EMBEDDER by variable": "self.EMBEDDER = os.getenv('OWN_VARIABLE', {name!r})",
    "EMBEDDING_MANAGER": "self.EMBEDDING_MANAGER = {name!r}",
    "the folder": "self.EMBEDDING_MODEL = {folder!r}",
    "the folder in a dict": "self.EMBEDDING_MODEL = {{'EMBEDDING_MODEL_NAME': {folder!r}}}",
}
# Asks as the host would: before and after its Config is there.
ASK = """
import json, sys
from dragon_finetune.codex.switch import chosen
first = chosen()
import {module} as config
second = chosen()
config.get_config()
print(json.dumps([first, second, chosen()]))
"""


def lay_out(folder, generation, written, *, name="finetuned", model="models/tuned"):
    """Return a host with nothing but its Config, to which the owner has added a line."""
    file = folder / CONFIG[generation]
    file.parent.mkdir(parents=True, exist_ok=True)
    text = (HOSTS / generation / CONFIG[generation]).read_text(encoding="utf-8")
    line = WRITTEN[written].format(name=name, folder=model)
    assert LAST[generation] in text
    file.write_text(text.replace(LAST[generation], f"{LAST[generation]}        {line}\n"), encoding="utf-8")
    tuned = folder / "models" / "tuned"
    tuned.mkdir(parents=True, exist_ok=True)
    (tuned / "modules.json").write_text("[]", encoding="utf-8")
    return folder


@contextmanager
def within(folder, **variables):
    before = {name: os.environ.get(name) for name in variables}
    here = Path.cwd()
    os.chdir(folder)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.chdir(here)
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


names = st.sampled_from([None, "base", "finetuned", "host"])


@given(
    generation=st.sampled_from("abc"),
    written=st.sampled_from(sorted(WRITTEN)),
    name=st.sampled_from(["base", "finetuned"]),
    places=st.fixed_dictionaries({"codex.yaml": names, "environment": names, ".env": names}),
)
@settings(max_examples=25, deadline=None)
@pytest.mark.slow
def test_what_explain_says_is_what_runs(tmp_path_factory, generation, written, name, places):
    host = lay_out(tmp_path_factory.mktemp("host"), generation, written, name=name)
    if places["codex.yaml"]:
        (host / "codex.yaml").write_text(f"embedder: {places['codex.yaml']}\n", encoding="utf-8")
    if places[".env"]:
        (host / ".env").write_text(f"EMBEDDER={places['.env']}\n", encoding="utf-8")
    exported = {"EMBEDDER": places["environment"]} if places["environment"] else {}
    done = plainly(host, "-c", ASK.format(module=MODULE[generation]), env=exported)
    assert done.returncode == 0, done.stderr
    decided = {tuple(each) for each in json.loads(done.stdout.splitlines()[-1])}
    with within(host, **exported):
        said = explain()
    assert len(decided) == 1
    embedder, _ = decided.pop()
    assert f"so: embedder {embedder}, chunker host" in said
    # The order, told once more: codex.yaml, then Config, then the environment, then .env, which wins.
    config = {"nothing": None, "the folder": None, "the folder in a dict": None}.get(written, name)
    implied = "finetuned" if "folder" in written else "host"
    loudest = [places["codex.yaml"], config, places["environment"], places[".env"]]
    assert embedder == next((each for each in reversed(loudest) if each), implied)


@pytest.mark.parametrize("generation", "abc")
@pytest.mark.parametrize("written", sorted(set(WRITTEN) - {"nothing"}))
def test_what_config_says_reaches_the_embedder(tmp_path, tiny, generation, written):
    host = lay_out(tmp_path, generation, written, model=str(tiny))
    ask = (
        f"import {MODULE[generation]} as config; config.get_config();"
        "from dragon_finetune.codex.made import our_embedder; print(our_embedder().model_path)"
    )
    done = plainly(host, "-c", ask, env={} if "folder" in written else {"FINETUNED_MODEL_PATH": str(tiny)})
    assert done.stdout.strip() == str(tiny), done.stderr


def test_generation_cs_own_manager_may_load_the_folder(tmp_path, tiny):
    host = lay_out(tmp_path, "c", "the folder in a dict", model=str(tiny))
    file = host / CONFIG["c"]
    text = file.read_text(encoding="utf-8")
    manager = '"EMBEDDING_MANAGER": "{}"'.format
    file.write_text(text.replace(manager("ollama"), manager("sentence_transformer")), encoding="utf-8")
    assert "so: embedder host" in run(host, "--explain", "x.py").stdout


@pytest.mark.parametrize("place", [".env", "environment"])
@pytest.mark.parametrize(("variable", "meant"), [("EMBEDER", "EMBEDDER"), ("FINETUNED_PATH", "FINETUNED_MODEL_PATH")])
def test_misspelt_variables_are_named(tmp_path, place, variable, meant):
    (tmp_path / "x.py").write_text("print('ran')", encoding="utf-8")
    if place == ".env":
        (tmp_path / ".env").write_text(f"{variable}=finetuned\n", encoding="utf-8")
    done = run(tmp_path, "x.py", env={variable: "finetuned"} if place == "environment" else {})
    assert (done.returncode, done.stdout) == (0, "ran\n")
    assert done.stderr.splitlines() == [f"warning: the variable {variable} is read by nobody; did you mean {meant}?"]


def test_a_chunker_alone_is_refused_before_the_host_starts(tmp_path):
    (tmp_path / "x.py").write_text("print('ran')", encoding="utf-8")
    done = run(tmp_path, "x.py", env={"CHUNKER": "token_aware"})
    assert (done.returncode, done.stdout) == (2, "")
    assert "names the chunker 'token_aware' and no embedder" in done.stderr


def test_where_nothing_is_exchanged_a_line_says_so(tmp_path, env_of):
    (tmp_path / "x.py").write_text("print('ran')", encoding="utf-8")
    (tmp_path / ".env").write_text(env_of["base"], encoding="utf-8")
    done = run(tmp_path, "x.py")
    assert (done.returncode, done.stdout) == (0, "ran\n")
    assert len(done.stderr.splitlines()) == 1
    assert "nothing is exchanged" in done.stderr
