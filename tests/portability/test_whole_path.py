"""The whole path under `spawn`: nothing is spawned, nothing is named as Windows can't, no file without an encoding."""

import json
import os
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest
from conftest import make_pairs

import dragon_finetune

RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}
LONGEST = 110  # of 259 characters, which leaves 149 for the folder that a user chooses
PACKAGE = str(Path(dragon_finetune.__file__).parent)


def write(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("form", [pytest.param("bare", marks=pytest.mark.thorough), "guarded"])
def test_train_embed_and_doctor_under_spawn(tiny, tmp_path, form):
    pairs = make_pairs(40)
    write(tmp_path / "pairs.jsonl", pairs)
    write(tmp_path / "chunks.jsonl", [{"text": pair["positive_text"]} for pair in pairs])
    script = [sys.executable, "-X", "warn_default_encoding", str(Path(__file__).with_name("whole_path.py"))]
    environment = {**os.environ, "PYTHONIOENCODING": "cp1252"}
    done = subprocess.run(
        [*script, form, str(tmp_path), str(tiny)], env=environment, capture_output=True, encoding="cp1252", check=False
    )
    assert done.returncode == 0, done.stderr
    said = json.loads((tmp_path / "said.json").read_text(encoding="utf-8"))
    assert said["codes"] == ([0, 0] if form == "bare" else []), done.stdout + done.stderr
    assert said["spawned"] == []
    assert [place for place in said["unnamed"] if place.startswith(PACKAGE)] == []
    assert any("tuned.work/checkpoints/checkpoint-4" in path for path in said["touched"])
    assert any(path.startswith("shards/") for path in said["touched"]) == (form == "bare")
    _require_names_that_windows_has(said["touched"])


def _require_names_that_windows_has(touched):
    for path in touched:
        assert len(path) <= LONGEST, path
        for name in PurePosixPath(path).parts:
            assert not set(name) & set('<>:"|?*\\') and name.isprintable(), path
            assert not name.endswith((".", " ")), path
            assert name.partition(".")[0].lower() not in RESERVED, path
    assert len({path.lower() for path in touched}) == len({*touched})
