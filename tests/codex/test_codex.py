"""The scripts of Dragon's Codex as its owner runs them, in two hosts written from its contract (tests/hosts)."""

import http.server
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from dragon_finetune import FineTunedEmbedder
from dragon_finetune.codex.faults import faults
from dragon_finetune.evaluation.questions import load_results
from dragon_finetune.evaluation.retrieval import retrieve
from dragon_finetune.files import read_jsonl, write_json, write_jsonl

HOSTS = Path(__file__).parents[1] / "hosts"
DATA = Path(__file__).parents[2] / "examples" / "dragons_codex" / "data"
COMMAND = Path(sys.executable).with_name("dragon-finetune")
SCRIPTS_A = (
    "src.embedding.emb_03_embed_all_chunks",
    "src.embedding.emb_04_create_collections",
    "tests.test_baselines_retrieval",
    "tests.evaluate_retrieval",
)
SCRIPTS_B = (
    *SCRIPTS_A[:2],
    "src.retrieval.testing.ret_test_01_test_baselines_retrieval_v1A",
    "src.retrieval.testing.ret_test_02_score_retrieval",
)


def lay_out(generation: str, folder: Path, env: str = "") -> Path:
    """A host under git, as its owner has it: data and settings ignored, code committed."""
    shutil.copytree(HOSTS / generation, folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in sorted((DATA / "chunks").glob("*.jsonl")):
        rows = [record for _, record in read_jsonl(file)][:12]
        write_jsonl(folder / "data" / "chunks" / file.name, ({**row, "text": row["text"][:400]} for row in rows))
    questions = json.loads((DATA / "testing" / "questions_100.json").read_text(encoding="utf-8"))["questions"]
    write_json(folder / "data" / "testing" / "questions_100.json", {"questions": questions[::5]})
    (folder / ".env").write_text(env, encoding="utf-8")
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "-c", "user.name=o", "-c", "user.email=o@o", "commit", "-qm", "host")
    return folder


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


def call(folder: Path, *command: object, **options: object) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **options.pop("env", {})}
    return subprocess.run(
        list(map(str, command)), cwd=folder, env=environment, capture_output=True, text=True, check=False, **options
    )


def run(folder: Path, *arguments: object, **options: object) -> subprocess.CompletedProcess:
    return call(folder, COMMAND, "run", *arguments, **options)


def plainly(folder: Path, *arguments: object, **options: object) -> subprocess.CompletedProcess:
    return call(folder, sys.executable, *arguments, **options)


def run_all(folder: Path, scripts: tuple[str, ...], **env: str) -> list[subprocess.CompletedProcess]:
    done = [run(folder, "-m", script, env=env) for script in scripts]
    for each in done[:-1]:
        assert each.returncode == 0, each.stderr
    return done


@pytest.fixture(scope="module")
def env_of(tiny):
    return {
        "base": "EMBEDDER=base\nBASE_MODEL_PATH=embedded\nBASE_PRECISION=fp32\n",
        "finetuned": f"EMBEDDER=finetuned\nFINETUNED_MODEL_PATH={tiny}\nFINETUNED_ON_OVERFLOW=split\n"
        "FINETUNED_PRECISION=fp32\nFINETUNED_DEVICE=cpu\n",
    }


def model_of(embedder: str, tiny: Path) -> FineTunedEmbedder:
    return FineTunedEmbedder("embedded" if embedder == "base" else tiny, precision="fp32", on_overflow="split")


@pytest.mark.parametrize("embedder", ["base", "finetuned"])
def test_generation_a_runs_unchanged_with_prompts_of_their_own(tmp_path, tiny, env_of, embedder):
    host = lay_out("a", tmp_path / "host", env_of[embedder])
    done = run_all(host, SCRIPTS_A)
    assert done[-1].returncode in (0, 1)
    assert "overall:" in done[-1].stdout
    assert git(host, "status", "--porcelain") == ""
    # The host's 5 + 5 nearest are among those that our own retrieval finds over the same chunks.
    answers = host / "data" / "testing" / "answers_baseline_retrieval_semantic_search.json"
    ours = {
        each["question_id"]: {chunk["text"]: chunk["distance"] for chunk in each["retrieved_chunks"]}
        for each in retrieve(
            model_of(embedder, tiny),
            sorted((host / "data" / "chunks").glob("*.jsonl")),
            [{**each, "temporal_limit": None} for each in load_results(answers)],
            top_k=84,
            vectors=tmp_path / "vectors",
        )
    }
    for result in load_results(answers):
        for chunk in result["retrieved_chunks"]:
            assert chunk["distance"] == pytest.approx(ours[result["question_id"]][chunk["text"]], abs=2e-4)


@pytest.mark.parametrize("embedder", ["base", "finetuned"])
def test_generation_b_runs_unchanged(tmp_path, tiny, env_of, embedder):
    host = lay_out("b", tmp_path / "host", env_of[embedder])
    done = run_all(host, SCRIPTS_B)
    assert "quality:" in done[-1].stdout, done[-1].stderr
    assert git(host, "status", "--porcelain") == ""
    model = model_of(embedder, tiny)
    for file in (host / "data" / "embeddings").glob("*.pkl"):
        records = pickle.loads(file.read_bytes())
        texts = [record["text"] for record in records.values()]
        vectors = np.array([record["embedding"] for record in records.values()])
        assert np.allclose(vectors, model.encode(texts, role="document"), atol=1e-4)
    result = json.loads((host / "data/testing/results/answers_baseline_retrieval.json").read_text())["results"][0]
    asked = model.encode([result["question"]], role="query")[0]
    nearest = model.encode([result["retrieved_chunks"][0]["text"]], role="document")[0]
    assert result["retrieved_chunks"][0]["distance"] == pytest.approx(2 - 2 * float(asked @ nearest), abs=2e-4)


class FakeOllama(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        text = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["input"]
        vector = np.random.default_rng(len(text)).normal(size=8)
        answer = json.dumps({"embeddings": [(vector / np.linalg.norm(vector)).tolist()]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


@pytest.fixture
def ollama():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), FakeOllama)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("switch", ["", "EMBEDDER=host\n"])
def test_without_the_switch_the_hosts_own_embedder_runs_untouched(tmp_path, ollama, switch):
    made = []
    for name, runner in (("plain", plainly), ("ours", run)):
        host = lay_out("a", tmp_path / name, f"{switch}OLLAMA_BASE_URL={ollama}\n")
        done = runner(host, "-m", SCRIPTS_A[0])
        assert done.returncode == 0, done.stderr
        made.append({file.name: file.read_bytes() for file in (host / "data" / "embeddings").glob("*.pkl")})
    assert made[0] == made[1]


AWKWARD = """
import os, sys, threading
print(sys.argv, sys.stdin.read(), __name__, os.environ.get("PYTHONPATH"))
print([entry for entry in sys.path if "boot" in entry], sys.path[0] == os.getcwd(), file=sys.stderr)
def deeper(): {}
deeper()
"""


@pytest.mark.parametrize(
    "act", ["raise KeyError('of the host')", "sys.exit(7)", "sys.exit('words')", "os.abort()", "os._exit(3)", "1"]
)
@pytest.mark.parametrize("form", ["module", "script"])
def test_a_run_is_as_a_plain_run(tmp_path, act, form):
    (tmp_path / "host_script.py").write_text(AWKWARD.format(act), encoding="utf-8")
    target = ["-m", "host_script"] if form == "module" else ["host_script.py"]
    plain, ours = (runner(tmp_path, *target, "--explain", "-m", "x", input="said") for runner in (plainly, run))
    assert ours.returncode == plain.returncode
    assert (ours.stdout, ours.stderr) == (plain.stdout, plain.stderr)


def test_ctrl_c_is_the_hosts(tmp_path):
    (tmp_path / "waits.py").write_text("import time\nprint('up', flush=True)\ntime.sleep(60)\n", encoding="utf-8")
    codes = []
    for command in ([sys.executable], [COMMAND, "run"]):
        process = subprocess.Popen(
            [*map(str, command), "waits.py"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        codes.append(process.wait(timeout=20))
        process.stdout.close()
    assert codes[0] == codes[1]


def test_interrupted_at_any_moment_or_started_twice_nothing_of_ours_is_broken(tmp_path, tiny, env_of):
    host = lay_out("a", tmp_path / "host", env_of["finetuned"])
    command = [str(COMMAND), "run", "-m", SCRIPTS_A[0]]
    quiet = {"cwd": host, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    before = sorted(file.name for file in Path(tiny).iterdir())
    for seconds in (0.3, 1.5, 6):
        process = subprocess.Popen(command, **quiet)
        time.sleep(seconds)
        process.send_signal(signal.SIGINT)
        process.wait(timeout=30)
    both = [subprocess.Popen(command, **quiet) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    assert sorted(file.name for file in Path(tiny).iterdir()) == before
    assert git(host, "status", "--porcelain") == ""


@pytest.mark.parametrize(
    ("place", "written"),
    [
        (".env", "EMBEDDER=finetuned\n"),
        ("codex.yaml", "embedder: finetuned\n"),
        ("environment", "finetuned"),
        ("src/utils/config.py", '            cls._instance.EMBEDDER = "finetuned"\n'),
    ],
)
def test_the_switch_is_found_wherever_the_host_keeps_its_settings(tmp_path, tiny, place, written):
    host = lay_out("a", tmp_path / "host")
    options = {"FINETUNED_MODEL_PATH": str(tiny), "FINETUNED_ON_OVERFLOW": "split", "FINETUNED_DEVICE": "cpu"}
    if place == "environment":
        options["EMBEDDER"] = written
    elif place.endswith(".py"):
        text = (host / place).read_text(encoding="utf-8")
        marker = "            cls._instance.OLLAMA_BASE_URL"
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
    assert "neither generation" in run(tmp_path, "--explain", "x.py").stdout


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
