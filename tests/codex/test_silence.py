"""No command speaks to anybody, and none leaves a vendor's mark at home: every one is watched by strace, online."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import make_pairs
from runs_of_hosts import COMMAND, DATA, SCRIPTS_A, lay_out

from dragon_finetune.files import read_jsonl, write_json, write_jsonl

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed (apt-get install strace)"),
]
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


def said_to_others(trace: Path) -> list[str]:
    """Return the calls of a trace that name a peer outside this machine; asking a name server counts as one."""
    return [
        line
        for line in trace.read_text(encoding="utf-8", errors="replace").splitlines()
        if "sa_family=AF_INET" in line and (not LOOPBACK.search(line) or "htons(53)" in line)
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny):
    """Return a host's folder with little in it, and a home with nothing."""
    folder = lay_out("a", tmp_path_factory.mktemp("silence") / "host", "")
    (folder / "home").mkdir()
    rows = [record for _, record in read_jsonl(DATA / "chunks" / "book_chunks.jsonl")][:12]
    write_jsonl(folder / "texts.jsonl", ({**row, "text": row["text"][:150]} for row in rows))
    write_jsonl(folder / "pairs.jsonl", make_pairs(40))
    write_json(folder / "few.yaml", {"max_steps": 2, "batch_size": 8, "device": "cpu", "on_overflow": "truncate"})
    return folder


def commands(tiny: Path) -> dict[str, list[object]]:
    asked = ["--chunks", "texts.jsonl", "--questions", "data/testing/questions_100.json"]
    few = ["--base-model", tiny, "--config", "few.yaml"]
    return {
        "plugins": ["plugins"],
        "audit": ["audit", "texts.jsonl", "-m", tiny],
        "chunk": ["chunk", "texts.jsonl", "pieces.jsonl", "-m", tiny],
        "pairs": ["pairs", "texts.jsonl", "--out", "made.jsonl", "-m", tiny, "--hard-negatives", "1"],
        "train": ["train", "pairs.jsonl", *few, "--output", "tuned", "--json"],
        "embed by openvino": ["embed", "pieces.jsonl", "-m", tiny, "--out", "v1", "--engine", "openvino", "--store",
                              "stores", "--collection", "books"],
        "embed by torch": ["embed", "pieces.jsonl", "-m", "tuned", "--out", "v2", "--engine", "torch"],
        "doctor": ["doctor", "-m", tiny, "--store", "stores", "--chunks", "pieces.jsonl"],
        "doctor on a stale index": ["doctor", "-m", "stranger", "--store", "stores"],
        "evaluate": ["evaluate", "-m", tiny, *asked],
        "compare": ["compare", tiny, "tuned", *asked, "--pairs", "pairs.jsonl", "--html", "report.html"],
        "search": ["search", "pairs.jsonl", *few, "--output", "found", "--budget", "1 runs", "--force"],
        "run": ["run", "-m", SCRIPTS_A[0]],
    }  # fmt: skip


def fails_well(name: str) -> bool:
    return name in ("audit", "compare", "doctor on a stale index")


def test_no_command_speaks_to_anybody(folder, tiny, tiny_models):
    environment = {name: value for name, value in os.environ.items() if name not in UNSET}
    environment |= {"HOME": str(folder / "home"), "EMBEDDER": "base", "BASE_MODEL_PATH": str(tiny),
                    "BASE_ON_OVERFLOW": "split"}  # fmt: skip
    stranger = shutil.copytree(tiny_models["wordpiece"], folder / "stranger")
    write_json(stranger / "dragon_finetune.json", {"base_model": "somebody/some-model"})
    heard = {}
    for name, arguments in commands(tiny).items():
        trace = folder / "trace"
        done = subprocess.run(
            [*without_network(), *TRACED, str(trace), str(COMMAND), *map(str, arguments)],
            cwd=folder, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode in ((0, 1) if fails_well(name) else (0,)), f"{name}: {done.stderr}"
        assert trace.read_text(encoding="utf-8", errors="replace").strip(), "strace saw nothing of it"
        if calls := said_to_others(trace):
            heard[name] = calls[:3]
    assert heard == {}
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


@pytest.mark.parametrize("peer", SPEAKS)
def test_what_is_said_would_be_seen(tmp_path, peer):
    command = [*without_network(), *TRACED, str(tmp_path / "trace"), sys.executable, "-c", SPEAKS[peer]]
    subprocess.run(command, check=False, capture_output=True)
    assert said_to_others(tmp_path / "trace")
