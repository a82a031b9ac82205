"""Files are written whole or not at all, through links and into devices; what goes wrong names the file."""

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragon_finetune.errors import DataError
from dragon_finetune.files import read_json, read_jsonl, write_json, write_text

POSIX = pytest.mark.skipif(os.name != "posix", reason="links, pipes and modes of POSIX")


@POSIX
def test_a_link_is_written_through(tmp_path):
    target, link = tmp_path / "target.txt", tmp_path / "link.txt"
    target.write_text("old", encoding="utf-8")
    link.symlink_to(target)
    write_text(link, "new")
    assert link.is_symlink()
    assert target.read_text(encoding="utf-8") == "new"


@POSIX
def test_a_pipe_gets_the_text_and_stays_a_pipe(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    got = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_text(encoding="utf-8")), daemon=True)
    reader.start()
    write_text(pipe, ["one ", "two"])
    reader.join(timeout=10)
    assert got == ["one two"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@POSIX
def test_a_device_stays_a_device():
    before = Path("/dev/null").stat().st_mode
    write_text("/dev/null", "x")
    assert Path("/dev/null").stat().st_mode == before
    code = "from dragon_finetune.files import write_json; write_json('/dev/stdout', {'a': 1})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout == b'{\n  "a": 1\n}\n'


@POSIX
def test_what_lies_under_the_name_of_a_draft_is_not_opened(tmp_path):
    """The old names could be guessed, and a link laid there was written through."""
    victim = tmp_path / "victim"
    victim.write_text("mine", encoding="utf-8")
    for name in (f".out.txt.{os.getpid()}.tmp", ".out.txt.tmp", "out.txt.tmp"):
        (tmp_path / name).symlink_to(victim)
    write_text(tmp_path / "out.txt", "new")
    assert victim.read_text(encoding="utf-8") == "mine"


@POSIX
def test_rights_of_a_replaced_file_stay_and_a_new_one_has_the_usual_ones(tmp_path):
    old, new = tmp_path / "old.txt", tmp_path / "new.txt"
    old.write_text("x", encoding="utf-8")
    old.chmod(0o640)
    for path in (old, new):
        write_text(path, "y")
    assert stat.S_IMODE(old.stat().st_mode) == 0o640
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(new.stat().st_mode) == 0o666 & ~umask


def test_an_error_on_the_way_leaves_what_was_there_and_no_draft(tmp_path):
    def pieces():
        yield "half"
        raise RuntimeError("no more")

    (tmp_path / "out.txt").write_text("old", encoding="utf-8")
    with pytest.raises(RuntimeError):
        write_text(tmp_path / "out.txt", pieces())
    assert (tmp_path / "out.txt").read_text(encoding="utf-8") == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["out.txt"]


@POSIX
def test_a_full_disk_is_named_with_the_file(tmp_path):
    code = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100));"
        "from dragon_finetune.files import write_text\n"
        "from dragon_finetune.errors import DataError\n"
        "try: write_text('out.txt', 'x' * 10_000)\n"
        "except DataError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "out.txt can't be written" in done.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["folder", "file/below", "x\0y", "n" * 300])
def test_what_cannot_be_written_or_read_is_an_error_of_ours(tmp_path, name):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("x", encoding="utf-8")
    for act in (lambda path: write_text(path, "x"), read_json, lambda path: list(read_jsonl(path))):
        with pytest.raises(DataError, match=r"folder|file|x|n"):
            act(tmp_path / name)


DAMAGED = {
    "deep": b"[" * 100_000,
    "utf-16": '{"a": 1}'.encode("utf-16"),
    "latin-1": '{"a": "é"}'.encode("latin-1"),
    "null bytes": b"\0\0\0",
    "cut": b'{"a": ',
    "a huge number": b'{"a": ' + b"9" * 10_000 + b"}",
    "an endless number": b'{"a": 1e999}',
    "no number": b'{"a": NaN}',
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_damaged_json_is_an_error_that_names_the_file(tmp_path, kind):
    file = tmp_path / "file.json"
    file.write_bytes(DAMAGED[kind])
    for read in (read_json, lambda path: list(read_jsonl(path))):
        with pytest.raises(DataError, match=r"file\.json"):
            read(file)


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path):
    file = tmp_path / "file.json"
    file.write_bytes(b"\xef\xbb\xbf" + b'{"a": 1}')
    assert read_json(file) == {"a": 1}
    assert list(read_jsonl(file)) == [(1, {"a": 1})]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(JSON)
def test_what_is_written_is_what_is_read(tmp_path_factory, value):
    file = tmp_path_factory.mktemp("json") / "file.json"
    write_json(file, value)
    assert read_json(file) == value


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_what_json_cannot_hold_is_written_as_null(tmp_path, number):
    write_json(tmp_path / "file.json", {"a": [number]})
    assert read_json(tmp_path / "file.json") == {"a": [None]}


@POSIX
@pytest.mark.parametrize("name", ["/dev/stdout", "log.txt", "link.txt"])
def test_a_file_that_stdout_goes_to_keeps_what_stands_in_it_and_what_follows(tmp_path, name):
    log = tmp_path / "log.txt"
    log.write_text("before\n", encoding="utf-8")
    (tmp_path / "link.txt").symlink_to(log)
    code = f"print('first'); from dragon_finetune.files import write_text; write_text({name!r}, 'x\\n'); print('last')"
    with log.open("ab") as out:
        subprocess.run([sys.executable, "-c", code], stdout=out, cwd=tmp_path, check=True)
    assert log.read_text(encoding="utf-8") == "before\nfirst\nx\nlast\n"


def test_a_name_of_many_bytes_is_written(tmp_path):
    name = "𝄞" * 60
    write_text(tmp_path / name, "x")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def guessable(name):
    """Return the names that drafts of a file had, or might have."""
    stem = name.rpartition(".")[0]
    return [f"{name}.tmp", f"{stem}.tmp", f".{name}.tmp", f".{name}.{os.getpid()}.tmp", f"{stem}.{os.getpid()}.tmp"]


@POSIX
@pytest.mark.parametrize("name", ["000000.parquet", "best.safetensors", "out.jsonl"])
def test_no_writer_opens_what_lies_under_a_name_that_can_be_guessed(tmp_path, name, tiny):
    victim, folder = tmp_path / "victim", tmp_path / "out"
    victim.write_text("mine", encoding="utf-8")
    write = {"000000.parquet": embed_one, "best.safetensors": look_once, "out.jsonl": write_rows}[name]
    at = write(folder, tiny, lambda at: [lay(at / each, victim) for each in guessable(name)])
    assert victim.read_text(encoding="utf-8") == "mine"
    assert (at / name).stat().st_size


def lay(link, victim):
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(victim)


def embed_one(folder, tiny, lay_in):
    from dragon_finetune import FineTunedEmbedder
    from dragon_finetune.index.shards import VectorStore

    embedder = FineTunedEmbedder(tiny, device="cpu", precision="fp32", engine="torch")
    lay_in(folder / embedder.fingerprint)
    VectorStore(folder, embedder).add([b"k" * 16], embedder.encode(["one"], role="document"))
    return folder / embedder.fingerprint


def look_once(folder, tiny, lay_in):
    from sentence_transformers import SentenceTransformer
    from transformers import TrainerControl, TrainerState

    from dragon_finetune.training.judgement import Judgement
    from dragon_finetune.training.watch import ValidationCallback

    lay_in(folder)
    judgement = Judgement(np.array([0.5]), None, False, 0.1)
    watch = ValidationCallback(lambda _: judgement, judgement, folder, steps=1, patience=None)
    state = TrainerState(global_step=1, max_steps=1)
    watch.on_step_end(None, state, TrainerControl(), model=SentenceTransformer(str(tiny), device="cpu"))
    return folder


def write_rows(folder, tiny, lay_in):
    lay_in(folder)
    write_text(folder / "out.jsonl", "{}\n")
    return folder


@POSIX
@pytest.mark.skipif(os.name == "posix" and os.geteuid() != 0, reason="only root can give a file away")
def test_the_owner_of_a_replaced_file_stays(tmp_path):
    file = tmp_path / "file"
    file.write_text("x", encoding="utf-8")
    os.chown(file, 12345, 12345)
    write_text(file, "y")
    assert (file.stat().st_uid, file.stat().st_gid) == (12345, 12345)
