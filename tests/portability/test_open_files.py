"""On a file system that neither replaces, moves nor removes what is open, as Windows', all is still published."""

import json
import os
import shutil
import sys
import threading
import time

import pytest
from conftest import make_pairs, run_here
from unkind import unkind  # noqa: F401

from dragon_finetune import FineTunedEmbedder, FineTuner, TrainingConfig
from dragon_finetune.errors import DataError, ModelError, StoppedError
from dragon_finetune.files import write_text
from dragon_finetune.model_place import CARD, new_draft, publish
from dragon_finetune.training.stopping import StopCallback

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="what is open is read from /proc"),
    pytest.mark.usefixtures("unkind"),
]
TEXTS = [f"House {n} keeps its {word} under the stair, and the lamp of {word}."
         for n, word in enumerate(["bell", "rope", "oar", "keel", "salt", "lamp", "heron", "wick"] * 6)]  # fmt: skip


def settings(model, out, **more):
    return TrainingConfig(
        base_model=model, output_dir=out, batch_size=8, device="cpu", max_steps=4, halves=False, **more
    )


@pytest.fixture
def chunks(write_jsonl):
    return write_jsonl("chunks.jsonl", [{"text": text} for text in TEXTS])


def test_the_stand_in_is_unkind(tmp_path):
    (tmp_path / "a").mkdir()
    with (tmp_path / "a" / "open").open("w", encoding="utf-8"):
        with pytest.raises(PermissionError):
            (tmp_path / "a").rename(tmp_path / "b")
        with pytest.raises(PermissionError):
            (tmp_path / "a" / "open").unlink()
        with pytest.raises(PermissionError):
            shutil.rmtree(tmp_path / "a")
        (tmp_path / "new").touch()
        with pytest.raises(PermissionError):
            (tmp_path / "new").replace(tmp_path / "a" / "open")
    (tmp_path / "a").rename(tmp_path / "b")
    with pytest.raises(FileExistsError):
        (tmp_path / "new").rename(tmp_path / "b" / "open")
    (tmp_path / "new").chmod(0o444)
    with pytest.raises(PermissionError):
        (tmp_path / "new").unlink()


def test_a_reader_of_a_moment_is_waited_for(tmp_path):
    (tmp_path / "curve.json").write_text("{}", encoding="utf-8")
    reader = (tmp_path / "curve.json").open(encoding="utf-8")
    threading.Timer(0.3, reader.close).start()
    write_text(tmp_path / "curve.json", "[]")
    assert (tmp_path / "curve.json").read_text(encoding="utf-8") == "[]"


def test_a_reader_that_stays_is_named_and_nothing_is_lost(tmp_path):
    (tmp_path / "curve.json").write_text("{}", encoding="utf-8")
    with (tmp_path / "curve.json").open(encoding="utf-8"), pytest.raises(DataError, match=r"curve\.json can't be writ"):
        write_text(tmp_path / "curve.json", "[]")
    assert [file.name for file in tmp_path.iterdir()] == ["curve.json"]


def test_a_model_that_somebody_has_loaded_is_named_and_the_same_call_goes_on(tmp_path):
    def draft():
        (new_draft(tmp_path / "model") / "modules.json").write_text("[]", encoding="utf-8")

    draft()
    publish(tmp_path / "model", {"n": 1})
    draft()
    with (tmp_path / "model" / CARD).open("rb"), pytest.raises(ModelError, match="End the programs that have a file"):
        publish(tmp_path / "model", {"n": 2})
    publish(tmp_path / "model", {"n": 2})
    assert json.loads((tmp_path / "model" / CARD).read_text(encoding="utf-8"))["n"] == 2
    assert (tmp_path / "model.old-1").is_dir()


def test_a_run_stops_goes_on_and_leaves_nothing_beside_its_output(tiny, tmp_path, monkeypatch):
    out = tmp_path / "out"
    more = {"save_steps": 1, "save_total_limit": 1}
    with monkeypatch.context() as told:
        told.setattr(StopCallback, "_is_asked", lambda callback, args: True)
        with pytest.raises(StoppedError):
            FineTuner(settings(tiny, out, **more)).train(make_pairs(40))
    assert list((tmp_path / "out.work" / "checkpoints").glob("checkpoint-*"))
    FineTuner(settings(tiny, out, **more)).train(make_pairs(40))
    assert {path.name for path in tmp_path.iterdir()} == {"out"}


def test_a_model_is_trained_on_into_its_own_place(tiny, tmp_path):
    out = shutil.copytree(tiny, tmp_path / "model")
    assert FineTunedEmbedder(out, device="cpu", precision="fp32", engine="torch").embed_query("who")
    FineTuner(settings(out, out, overwrite=True)).train(make_pairs(40))
    assert (out / CARD).is_file()
    assert (tmp_path / "model.old-1" / "model.safetensors").is_file()


def test_words_are_joined_to_a_read_only_model(tiny, tmp_path, chunks):
    base = shutil.copytree(tiny, tmp_path / "base")
    for file in base.rglob("*.*"):
        if file.is_file():
            file.chmod(0o444)
    command = ("lexicon", chunks, "--model", base, "--output", tmp_path / "worded")
    assert (done := run_here(*command)).returncode == 0, done.stderr
    assert (done := run_here(*command, "--share", "0.3", "--overwrite")).returncode == 0, done.stderr
    assert (tmp_path / "worded.old-1").is_dir()
    assert all(os.access(file, os.W_OK) for file in (tmp_path / "worded").rglob("*"))


def test_shards_and_a_store_grow(tiny, tmp_path, chunks, write_jsonl):
    more = write_jsonl("more.jsonl", [{"text": f"{text} Again."} for text in TEXTS[:9]])
    for files in ([chunks], [chunks, more]):
        command = ("embed", *files, "--model", tiny, "--out", tmp_path / "shards", "--engine", "torch")
        done = run_here(*command, "--store", tmp_path / "store", "--collection", "books")
        assert done.returncode == 0, done.stderr
    done = run_here("audit", chunks, "--model", tiny, "--image", tmp_path / "tokens.svg")
    assert done.returncode == 0, done.stderr
    assert run_here("audit", chunks, "--model", tiny, "--image", tmp_path / "tokens.svg").returncode == 0


@pytest.mark.parametrize("form", ["openvino", "onnx", "gguf"])
def test_an_export_is_proved_and_published(tiny_models, tmp_path, chunks, form):
    pytest.importorskip({"openvino": "openvino", "onnx": "onnxruntime", "gguf": "xllamacpp"}[form])
    base = shutil.copytree(tiny_models["wordpiece"], tmp_path / "base")
    command = ("export", "--model", base, "--to", form, "--output", tmp_path / form, "--texts", chunks)
    for more in ((), ("--overwrite",)):
        assert (done := run_here(*command, *more)).returncode == 0, done.stderr
    assert not (tmp_path / form / "compiled").exists()
    assert not list(tmp_path.glob("*.new"))


def test_time_is_not_waited_for_where_a_refusal_is_final(tmp_path, monkeypatch):
    from dragon_finetune import files

    monkeypatch.setattr(files, "OPEN_FILES_STAY", False)
    (tmp_path / "a").write_text("", encoding="utf-8")
    started = time.monotonic()
    with (tmp_path / "a").open(encoding="utf-8"), pytest.raises(DataError):
        write_text(tmp_path / "a", "b")
    assert time.monotonic() - started < 0.9
