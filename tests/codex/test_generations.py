"""The scripts of Dragon's Codex as its owner runs them, in two hosts written from its contract (tests/hosts)."""

import http.server
import json
import pickle
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from runs_of_hosts import COMMAND, SCRIPTS_A, SCRIPTS_B, SCRIPTS_C, call, git, lay_out, plainly, run, run_all

from dragon_finetune import FineTunedEmbedder
from dragon_finetune.chunks import read_chunks
from dragon_finetune.embedding.lexical_folder import Words, make_lexical_folder
from dragon_finetune.evaluation.questions import load_results
from dragon_finetune.evaluation.retrieval import retrieve


def model_of(embedder: str, tiny: Path) -> FineTunedEmbedder:
    return FineTunedEmbedder("embedded" if embedder == "base" else tiny, precision="fp32", on_overflow="split")


@pytest.mark.parametrize("embedder", ["base", "finetuned"])
@pytest.mark.slow
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


@pytest.mark.parametrize("embedder", [pytest.param("base", marks=pytest.mark.thorough), "finetuned"])
@pytest.mark.parametrize(("generation", "scripts"), [("b", SCRIPTS_B), ("c", SCRIPTS_C)])
def test_later_generations_run_unchanged(tmp_path, tiny, env_of, embedder, generation, scripts):
    host = lay_out(generation, tmp_path / "host", env_of[embedder])
    done = run_all(host, scripts)
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


@pytest.mark.slow
def test_a_folder_with_words_in_its_vectors_runs_unchanged(tmp_path, tiny, env_of):
    host = lay_out("c", tmp_path / "host")  # the demo runs generation A so
    files = sorted((host / "data" / "chunks").glob("*.jsonl"))
    texts = [chunk.text for chunk in read_chunks(files)]
    folder = make_lexical_folder(tiny, tmp_path / "joined", Words(texts, dimensions=256)).path
    (host / ".env").write_text(env_of["finetuned"].replace(str(tiny), str(folder)), encoding="utf-8")
    run_all(host, SCRIPTS_C)
    done = call(host, COMMAND, "doctor", "--model", folder, "--on-overflow", "split", "--chunks", *files)
    assert done.returncode == 0, done.stdout
    assert "are not in the lexicon" in done.stdout


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


@pytest.mark.slow
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
