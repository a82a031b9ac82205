"""Files as Windows' programs write them, through the commands: CRLF, byte order marks, cp1252; and what is printed."""

import json
import os
import shutil
import subprocess
import sys
import types
from pathlib import Path

import pytest
from conftest import CORPUS, EXAMPLES, make_pairs, run_here

from dragon_finetune import files, locks, processes
from dragon_finetune.errors import DataError
from dragon_finetune.settings import read_yaml

FORMS = ["crlf", "bom", "bom and crlf"]
QUESTIONS = EXAMPLES / "dragons_codex" / "data" / "testing" / "questions_100.json"
WIKI = EXAMPLES / "dragons_codex" / "data" / "chunks" / "wiki_chunks_prophecies.jsonl"


def written(path, text, form):
    """Write a text as Notepad or an editor of Windows would, and once plainly, beside it."""
    plain = path.with_name(f"plain-{path.name}")
    plain.write_text(text, encoding="utf-8", newline="\n")
    newline = "\r\n" if "crlf" in form else "\n"
    path.write_text(text, encoding="utf-8-sig" if "bom" in form else "utf-8", newline=newline)
    return path, plain


def lines(records):
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


CHUNKS = lines({"text": text, "source": "café.txt"} for text in CORPUS)
TABLE = 'text,source\n"One lamp,\nsaid “Jorun”.",a\nThe bell.,b\n'


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name, text", [("c.jsonl", CHUNKS), ("c.md", "\n\n".join(CORPUS)), ("c.csv", TABLE)])
def test_chunk_and_audit(tiny, tmp_path, form, name, text):
    windows, plain = written(tmp_path / name, text, form)
    said = [run_here("audit", file, "--model", tiny, "--json") for file in (windows, plain)]
    assert said[0].returncode in (0, 1), said[0].stderr
    found, wanted = (json.loads(each.stdout.replace("plain-", "")) for each in said)
    if name != "c.csv":  # a line end within a quoted field is the writer's own
        assert found == wanted
    for file in (windows, plain):
        done = run_here("chunk", file, tmp_path / f"{file.name}.out", "--model", tiny, "--max-tokens", 40)
        assert done.returncode == 0, done.stderr
    chunks, others = ((tmp_path / f"{file.name}.out").read_bytes() for file in (windows, plain))
    assert b"\r\n" not in chunks
    assert b"\xef\xbb\xbf" not in chunks
    if name == "c.jsonl":
        assert chunks == others


@pytest.mark.parametrize("form", FORMS)
def test_train_and_its_settings(tiny, tmp_path, form):
    pairs, plain = written(tmp_path / "pairs.jsonl", lines(make_pairs(40)), form)
    config, _ = written(tmp_path / "train.yaml", "batch_size: 8\nmax_steps: 3\ndevice: cpu\n", form)
    assert read_yaml(config) == {"batch_size": 8, "max_steps": 3, "device": "cpu"}
    command = ("--base-model", tiny, "--output", tmp_path / "out", "--config", config, "--dry-run", "--json")
    plans = []
    for file in (pairs, plain):
        done = run_here("train", file, *command)
        assert done.returncode == 0, done.stderr
        plans.append({name: value for name, value in json.loads(done.stdout).items() if "second" not in name})
    assert plans[0]["steps"] == plans[1]["steps"] == 3


@pytest.mark.parametrize("form", FORMS)
def test_pairs(tmp_path, form):
    chunks, plain = written(tmp_path / "chunks.jsonl", WIKI.read_text(encoding="utf-8"), form)
    questions, _ = written(tmp_path / "questions.json", QUESTIONS.read_text(encoding="utf-8"), form)
    for file in (chunks, plain):
        done = run_here(
            "pairs", file, "--out", tmp_path / f"{file.stem}-pairs.jsonl", "--questions-to-avoid", questions
        )
        assert done.returncode == 0, done.stderr
    made, wanted = ((tmp_path / f"{file.stem}-pairs.jsonl").read_bytes() for file in (chunks, plain))
    assert made == wanted
    assert b"\r\n" not in made


@pytest.mark.parametrize("form", FORMS)
def test_evaluate(tiny, tmp_path, form):
    chunks = [{"chunk_id": f"c{n}", "text": text[:40]} for n, text in enumerate(CORPUS)]
    asked = [{"question_id": n, "question": text[5:30], "answers": [f"c{n}"]} for n, text in enumerate(CORPUS)]
    said = []
    for kind in (0, 1):
        file = written(tmp_path / "chunks.jsonl", lines(chunks), form)[kind]
        judged = written(tmp_path / "judged.json", json.dumps({"questions": asked}, indent=1), form)[kind]
        done = run_here("evaluate", "--model", tiny, "--chunks", file, "--judged", judged, "--json")
        assert done.returncode == 0, done.stderr
        said.append(done.stdout.replace("plain-", ""))
    assert said[0] == said[1]


class _OnWindows:
    name = "nt"

    def __getattr__(self, name):
        return getattr(os, name)


def test_patterns_that_powershell_leaves_as_they_are_become_files(tiny, tmp_path, monkeypatch):
    import typer.core

    monkeypatch.setattr(typer.core, "os", _OnWindows())
    for n, text in enumerate(CORPUS):
        (tmp_path / f"part{n}.jsonl").write_text(lines([{"chunk_id": f"c{n}", "text": text[:40]}]), encoding="utf-8")
    done = run_here("audit", tmp_path / "part*.jsonl", "--model", tiny, "--json")
    assert json.loads(done.stdout)["fields"]["text"]["texts"] == len(CORPUS)
    asked = [{"question_id": 1, "question": "who lit the lamp", "answers": ["c2"]}]
    (tmp_path / "judged.json").write_text(json.dumps({"questions": asked}), encoding="utf-8")
    command = ("--chunks", tmp_path / "part*.jsonl", "--judged", tmp_path / "judged.json", "--json")
    assert (done := run_here("evaluate", "--model", tiny, *command)).returncode == 0, done.stderr
    done = run_here("audit", tmp_path / "none*.jsonl", "--model", tiny)
    assert done.returncode == 2
    assert "none*.jsonl does not exist" in done.stderr


@pytest.mark.parametrize("command", ["audit {} --model {m}", "chunk {} out.jsonl --model {m}", "pairs {} --out o.jsonl",
                                     "train {} --base-model {m} --output out --dry-run", "evaluate {}"])  # fmt: skip
def test_cp1252_is_refused_by_name(tiny, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    name = "answers.json" if command.startswith("evaluate") else "old.jsonl"
    Path(name).write_bytes('{"text": "Épée “là”", "query": "é", "positive_text": "à"}\r\n'.encode("cp1252"))
    done = run_here(*command.format(name, m=tiny).split())
    assert done.returncode == 2
    assert f"{name} is not UTF-8" in done.stderr


def test_json_on_a_stdout_of_an_old_code_page_loses_nothing(tiny, tmp_path):
    model = shutil.copytree(tiny, tmp_path / "鐘")
    (tmp_path / "bell.txt").write_text("the bell of the tide", encoding="utf-8")
    command = [sys.executable, "-m", "dragon_finetune.cli", "audit", str(tmp_path / "bell.txt"), "--model", str(model)]
    code_page = {**os.environ, "PYTHONIOENCODING": "cp1252"}
    done = subprocess.run([*command, "--json"], env=code_page, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.decode("ascii"))["model"] == str(model)


def test_what_our_children_print_is_utf_8(monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "cp1252")
    task = [sys.executable, "-c", "print('鐘')"]
    done = subprocess.run(task, env=processes.environment_of_a_child(), capture_output=True, check=True)
    assert done.stdout.decode("utf-8").strip() == "鐘"


def test_a_hosts_source_with_a_byte_order_mark_is_read(tmp_path, monkeypatch):
    from dragon_finetune.codex import explain

    file = tmp_path / "factory.py"
    file.write_text("def create_embedding_manager(config):\n    return 1\n", encoding="utf-8-sig", newline="\r\n")
    assert explain._takes_the_dict_alone(file)


def test_a_path_that_is_too_long_for_windows_is_called_so(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_LONGEST_PATH", 40)
    with pytest.raises(DataError, match="Windows takes 40 until long paths are switched on"):
        files.read_text(tmp_path / ("deep" * 20))


@pytest.mark.parametrize("name", ["aux", "Con.work", "nul.txt"])
def test_a_devices_name_is_refused_before_work(tmp_path, monkeypatch, name):
    monkeypatch.setattr(locks, "_TAKEN", frozenset(locks._DEVICES))
    with (
        pytest.raises(DataError, match=f"Windows keeps the name {name} for a device"),
        locks.held(tmp_path / name / "run", wait=False),
    ):
        pass
    assert list(tmp_path.iterdir()) == []
    with locks.held(tmp_path / "auxiliary", wait=False):
        pass


def test_nul_is_not_taken_for_the_console(tmp_path, monkeypatch):
    """Windows numbers neither: all that is no file is 0 on 0."""
    nothing = types.SimpleNamespace(st_ino=0, st_dev=0)
    with monkeypatch.context() as windows:
        windows.setattr(os, "fstat", lambda number: nothing)
        windows.setattr(Path, "stat", lambda self, **named: nothing)
        assert files._stream_of(tmp_path / "NUL") is None
