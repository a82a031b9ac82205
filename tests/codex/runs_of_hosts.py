"""What the tests of this room share."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

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
SCRIPTS_C = SCRIPTS_B


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
