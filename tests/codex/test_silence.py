"""No command speaks to anybody, none leaves a vendor's mark at home, and none lets the libraries below chatter.

Every one is run once, under strace where there is one, with the network on and a model that transformers would report.
"""

import os
import re
import shutil
import subprocess
import sys

import pytest
from conftest import make_pairs
from runs_of_hosts import COMMAND, DATA, SCRIPTS_A, lay_out
from safetensors.torch import load_file, save_file

from dragon_finetune.files import read_jsonl, write_json, write_jsonl

pytestmark = pytest.mark.slow
watched = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed (apt-get install strace)")
CHATTER = ("[transformers]", "LOAD REPORT", "Token indices", "loss_type", "Loading weights")
TRACED = ["strace", "-f", "--seccomp-bpf", "-e", "trace=connect,sendto,sendmsg,sendmmsg", "-o"]
LOOPBACK = re.compile(r'inet_addr\("127\.|"::1"')
# What would ask for the silence that a person's machine does not ask for, or would send words elsewhere.
UNSET = ("HF_HUB_OFFLINE", "HF_HOME", "HF_HUB_CACHE", "CI", "DRAGON_FINETUNE_CACHE", "XDG_CACHE_HOME", "DO_NOT_TRACK",
         "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY", "DISABLE_TELEMETRY")  # fmt: skip


def without_network() -> list[str]:
    """Return what cuts the network off where the system lets us; attempts are seen either way."""
    command = ["unshare", "-rn"]
    possible = shutil.which("unshare") and subprocess.run([*command, "true"], capture_output=True, check=False)
    return command if possible and possible.returncode == 0 else []


def said_to_others(trace: str) -> list[str]:
    """Return the calls of a trace that name a peer outside this machine; asking a name server counts as one."""
    return [
        line
        for line in trace.splitlines()
        if "sa_family=AF_INET" in line and (not LOOPBACK.search(line) or "htons(53)" in line)
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny, tiny_models):
    """Return a host's folder with little in it, and a home with nothing."""
    folder = lay_out("a", tmp_path_factory.mktemp("silence") / "host", "")
    (folder / "home").mkdir()
    rows = [record for _, record in read_jsonl(DATA / "chunks" / "book_chunks.jsonl")][:12]
    write_jsonl(folder / "texts.jsonl", ({**row, "text": row["text"][:150]} for row in rows))
    write_jsonl(folder / "long.jsonl", [{"text": "Tale of the lamp. " * 100}])
    write_jsonl(folder / "pairs.jsonl", make_pairs(40))
    write_json(folder / "few.yaml", {"max_steps": 2, "batch_size": 8, "device": "cpu", "on_overflow": "truncate"})
    tensors = load_file(shutil.copytree(tiny, folder / "noisy") / "model.safetensors")
    tensors["nobodys"] = tensors["encoder.layer.1.output.LayerNorm.weight"].clone()
    save_file(tensors, folder / "noisy" / "model.safetensors", metadata={"format": "pt"})
    stranger = shutil.copytree(tiny_models["wordpiece"], folder / "stranger")
    write_json(stranger / "dragon_finetune.json", {"base_model": "somebody/some-model"})
    return folder


def commands() -> dict[str, list[str]]:
    asked = ["--chunks", "texts.jsonl", "--questions", "data/testing/questions_100.json"]
    few = ["--base-model", "noisy", "--config", "few.yaml"]
    return {
        "plugins": ["plugins"],
        "audit": ["audit", "long.jsonl", "-m", "noisy"],
        "chunk": ["chunk", "texts.jsonl", "pieces.jsonl", "-m", "noisy"],
        "pairs": ["pairs", "texts.jsonl", "--out", "made.jsonl", "-m", "noisy", "--hard-negatives", "1"],
        "train": ["train", "pairs.jsonl", *few, "--output", "tuned", "--json"],
        "embed by openvino": ["embed", "pieces.jsonl", "-m", "noisy", "--out", "v1", "--engine", "openvino", "--store",
                              "stores", "--collection", "books"],
        "embed by torch": ["embed", "pieces.jsonl", "-m", "tuned", "--out", "v2", "--engine", "torch"],
        "doctor": ["doctor", "-m", "noisy", "--store", "stores", "--chunks", "pieces.jsonl"],
        "doctor on a stale index": ["doctor", "-m", "stranger", "--store", "stores"],
        "evaluate": ["evaluate", "-m", "noisy", *asked],
        "compare": ["compare", "noisy", "tuned", *asked, "--pairs", "pairs.jsonl", "--html", "report.html"],
        "search": ["search", "pairs.jsonl", *few, "--output", "found", "--budget", "1 runs", "--force"],
        "run": ["run", "-m", SCRIPTS_A[0]],
    }  # fmt: skip


def fails_well(name: str) -> bool:
    return name in ("audit", "compare", "doctor on a stale index")


@pytest.fixture(scope="module")
def said(folder) -> dict[str, tuple[str, str]]:
    """Return command -> (stderr, trace; empty without strace)."""
    environment = {name: value for name, value in os.environ.items() if name not in UNSET}
    environment |= {"HOME": str(folder / "home"), "EMBEDDER": "base", "BASE_MODEL_PATH": str(folder / "noisy"),
                    "BASE_ON_OVERFLOW": "split"}  # fmt: skip
    trace = folder / "trace"
    watching = [*without_network(), *TRACED, str(trace)] if shutil.which("strace") else []
    heard = {}
    for name, arguments in commands().items():
        trace.write_text("", encoding="utf-8")
        command = [*watching, str(COMMAND), *arguments]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode in ((0, 1) if fails_well(name) else (0,)), f"{name}: {done.stderr}"
        heard[name] = done.stderr, trace.read_text(encoding="utf-8", errors="replace")
    return heard


def test_no_command_lets_the_libraries_chatter(said):
    said = {name: stderr for name, (stderr, _) in said.items() if name != "run"}  # a host hears what it heard before
    assert {name: stderr for name, stderr in said.items() if any(word in stderr for word in CHATTER)} == {}


@watched
def test_no_command_speaks_to_anybody(said, folder):
    assert all(trace.strip() for _, trace in said.values()), "strace saw nothing of one"
    assert {name: calls[:3] for name, (_, trace) in said.items() if (calls := said_to_others(trace))} == {}
    left = {path.relative_to(folder / "home").as_posix() for path in (folder / "home").rglob("*") if path.is_file()}
    ours = (".cache/dragon-finetune/", ".cache/huggingface/", ".cache/matplotlib/", ".config/matplotlib/")
    assert [path for path in left if not path.startswith(ours)] == []
    assert [path for path in left if re.search(r"telemetry|cid|user_id|uuid", path, re.IGNORECASE)] == []


ADDRESS = "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(('192.0.2.1', 443))"
SPEAKS = {
    "an address": ADDRESS,
    "a newer address": "import socket; socket.socket(socket.AF_INET6, socket.SOCK_DGRAM).connect(('2001:db8::1', 443))",
    "a name": "import urllib.request; urllib.request.urlopen('https://somebody.invalid')",
    "a child": f"import subprocess, sys; subprocess.run([sys.executable, '-c', {ADDRESS!r}])",
}


@watched
@pytest.mark.parametrize("peer", SPEAKS)
def test_what_is_said_would_be_seen(tmp_path, peer):
    command = [*without_network(), *TRACED, str(tmp_path / "trace"), sys.executable, "-c", SPEAKS[peer]]
    subprocess.run(command, check=False, capture_output=True)
    assert said_to_others((tmp_path / "trace").read_text(encoding="utf-8", errors="replace"))
