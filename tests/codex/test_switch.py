"""Where the host keeps its switch, and what `run` says of it."""

import pickle
from itertools import pairwise

import pytest
from runs_of_hosts import DATA, SCRIPTS_A, lay_out, plainly, run

from dragon_finetune import FineTunedEmbedder
from dragon_finetune.codex.faults import faults
from dragon_finetune.files import read_jsonl


@pytest.mark.parametrize(
    ("place", "written"),
    [
        (".env", "EMBEDDER=finetuned\n"),
        ("codex.yaml", "embedder: finetuned\n"),
        ("environment", "finetuned"),
        ("src/utils/config.py", '        self.EMBEDDER = "finetuned"\n'),
    ],
)
@pytest.mark.slow
def test_the_switch_is_found_wherever_the_host_keeps_its_settings(tmp_path, tiny, place, written):
    host = lay_out("a", tmp_path / "host")
    options = {"FINETUNED_MODEL_PATH": str(tiny), "FINETUNED_ON_OVERFLOW": "split", "FINETUNED_DEVICE": "cpu"}
    if place == "environment":
        options["EMBEDDER"] = written
    elif place.endswith(".py"):
        text = (host / place).read_text(encoding="utf-8")
        marker = "        self.OLLAMA_BASE_URL"
        (host / place).write_text(text.replace(marker, written + marker), encoding="utf-8")
    else:
        (host / place).write_text(written, encoding="utf-8")
    explained = run(host, "--explain", "-m", SCRIPTS_A[0], env=options)
    assert "so: embedder finetuned" in explained.stdout, explained.stderr
    assert not (host / "data" / "embeddings").exists()
    done = run(host, "-m", SCRIPTS_A[0], env=options)
    assert done.returncode == 0, done.stderr
    dimension = FineTunedEmbedder(tiny).encode(["x"], role="query").shape[1]
    for file in (host / "data" / "embeddings").glob("*.pkl"):
        assert {len(record["embedding"]) for record in pickle.loads(file.read_bytes()).values()} == {dimension}


def test_the_hosts_env_file_beats_the_environment(tmp_path, env_of):
    host = lay_out("a", tmp_path / "host", env_of["base"])
    assert "so: embedder base" in run(host, "--explain", "x.py", env={"EMBEDDER": "finetuned"}).stdout


def test_what_the_env_file_overrules_is_told(tmp_path, env_of):
    host = lay_out("a", tmp_path / "host", env_of["base"])
    said = run(host, "-m", "site", env={"EMBEDDER": "finetuned"}).stderr
    assert "EMBEDDER=finetuned in the environment has no effect: .env says EMBEDDER=base" in said
    assert "no effect" not in run(host, "-m", "site", env={"EMBEDDER": "base"}).stderr


def test_explain_names_what_would_be_replaced_and_faults_in_sight(tmp_path, env_of):
    host = lay_out("a", tmp_path / "host", env_of["base"])
    (host / "None").write_bytes(b"")
    said = run(host, "--explain", "-m", SCRIPTS_A[0]).stdout
    assert "src/utils/util_embedding.py: generation A" in said
    assert "fault in sight: a file named `None`" in said
    assert "keeps only the last vector of a call" in said
    assert "a temporal limit drops every text without `temporal_order`" in said
    assert len(faults(host)) == 3
    said = run(lay_out("b", tmp_path / "b"), "--explain", "x.py").stdout
    assert "embedding_factory.py: generation B" in said
    assert "prompts are joined to the text without a separator" in said
    assert "no generation of Dragon" in run(tmp_path, "--explain", "x.py").stdout


@pytest.mark.parametrize(
    ("arguments", "env", "words"),
    [
        ((), "", "give a module or a script"),
        (("-m",), "", "give a module or a script"),
        (("x.py",), "EMBEDDER=finetund\n", "Did you mean 'finetuned'"),
        (("x.py",), "EMBEDDER=finetuned\nFINETUNED_MODEL_PATH=nowhere\n", "there is none at"),
        (("x.py",), "EMBEDDER=base\nBASE_MODEL_PATH=embedded\nBASE_PRECISION=fp8\n", "precision is 'fp8'"),
    ],
)
def test_wrong_settings_are_refused_before_the_host_starts(tmp_path, arguments, env, words):
    (tmp_path / "x.py").write_text("print('ran')", encoding="utf-8")
    (tmp_path / ".env").write_text(env, encoding="utf-8")
    done = run(tmp_path, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr


THREE_LINES = """
import importlib.util
if importlib.util.find_spec("dragon_finetune"):
    importlib.import_module("dragon_finetune.codex.install").install()
"""


def test_three_lines_in_the_hosts_own_module_do_the_same_and_no_harm_without_us(tmp_path, tiny, env_of):
    host = lay_out("a", tmp_path / "host", env_of["finetuned"])
    module = host / "src" / "utils" / "util_embedding.py"
    module.write_text(module.read_text(encoding="utf-8") + THREE_LINES, encoding="utf-8")
    done = plainly(host, "-m", SCRIPTS_A[0])
    assert done.returncode == 0, done.stderr
    records = pickle.loads(next((host / "data" / "embeddings").glob("*characters*.pkl")).read_bytes())
    assert len(records) == 12
    hidden = "import importlib.util as u; u.find_spec = lambda name: None; "
    alone = plainly(
        host, "-c", hidden + "import src.utils.util_embedding as m; print(m.VectorStoreManager().test_connection())"
    )
    assert alone.stdout.strip() == "False", alone.stderr  # no Ollama here, and nobody of ours in its place


@pytest.mark.parametrize("generation", ["a", "b"])
def test_token_aware_reaches_the_hosts_chunker(tmp_path, env_of, generation):
    env = env_of["base"] + ("CHUNKER=token_aware\n" if generation == "a" else "")
    host = lay_out(generation, tmp_path / "host", env)
    for file in (host / "data" / "chunks").glob("*.jsonl"):
        file.unlink()
    text = "\n\n".join(record["text"] for _, record in read_jsonl(DATA / "chunks" / "book_chunks.jsonl"))
    books = host / "data" / "raw" / "books"
    books.mkdir(parents=True, exist_ok=True)
    (books / "one.txt").write_text(text[:60_000], encoding="utf-8")
    done = run(host, "-m", "src.embedding.emb_01_chunk_books", env={"HOST_STRATEGY": "token_aware"})
    assert done.returncode == 0, done.stderr
    pieces = [record["text"] for _, record in read_jsonl(host / "data" / "chunks" / "one_chunks.jsonl")]
    assert max(map(len, pieces)) <= 6956
    assert "".join("".join(pieces).split()) == "".join(text[:60_000].split())
    assert all(one != two for one, two in pairwise(pieces))
