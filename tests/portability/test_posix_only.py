"""Nothing of ours calls what Windows has not; the finder is tested on planted snippets."""

import subprocess
import sys
from pathlib import Path

import pytest
from posix_only import posix_only

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "dragon_finetune"
# Each moves something to where nothing lies, which `rename` does on every system.
MOVES_TO_A_FREE_PLACE = {"model_place.py", "embedding/conversion.py", "export/openvino_folder.py"}

PLANTED = {
    "import fcntl": "import fcntl",
    "from resource import getrusage": "import resource",
    "import os\nos.kill(1, 9)": "os.kill",
    "import os\nos.fork()": "os.fork",
    "import os\nos.rename('a', 'b')": "os.rename",
    "from os import getuid": "os.getuid",
    "import os\nflags = os.O_DIRECTORY": "os.O_DIRECTORY",
    "import os\nlen(os.sched_getaffinity(0))": "os.sched_getaffinity",
    "import signal\nstop = [signal.SIGTERM, signal.SIGKILL]": "signal.SIGKILL",
    "import signal\nsignal.signal(signal.SIGUSR1, print)": "signal.SIGUSR1",
    "import time\ntime.clock_gettime(1)": "time.clock_gettime",
    "import select\nselect.select([0], [], [])": "select.select",
    "from pathlib import Path\nPath('a').symlink_to('b')": ".symlink_to",
    "import subprocess\nsubprocess.run(['a'], preexec_fn=print)": "preexec_fn=",
    "import subprocess\nsubprocess.run(['a'], text=True)": "subprocess.run(text=...) without encoding",
    "out = '/dev/null'": "'/dev/null'",
    "memory = f'/proc/{1}/status'": "'/proc/'",
    "open('a')": "open without encoding",
    "open('a', 'w')": "open without encoding",
    "path.open('a')": "open without encoding",
    "path.open(mode='r', newline='')": "open without encoding",
    "path.read_text()": ".read_text without encoding",
    "path.write_text('a')": ".write_text without encoding",
    "import os\nif True:\n    os.getuid()": "os.getuid",
    "import os\ntry:\n    os.getuid()\nexcept OSError:\n    pass": "os.getuid",
}
GUARDED = [
    "import os, sys\nif sys.platform != 'win32':\n    os.getuid()",
    "import os\nif os.name == 'posix':\n    os.kill(1, 9)",
    "import os\nif hasattr(os, 'chown'):\n    os.chown('a', 1, 1)",
    "import os\nn = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else 1",
    "import os\ntry:\n    os.getuid()\nexcept (AttributeError, OSError):\n    pass",
    "try:\n    import resource\nexcept ImportError:\n    resource = None",
    "open('a', 'rb')",
    "open('a', encoding='utf-8')",
    "path.open('rb')",
    "folder.open(model)",
    "path.read_text('utf-8')",
    "path.write_text('a', 'utf-8')",
    "import subprocess\nsubprocess.run(['a'], text=True, encoding='utf-8')",
    "import os\nos.devnull",
]


@pytest.mark.parametrize("source", PLANTED)
def test_what_is_planted_is_found(source):
    assert [each.partition(": ")[2] for each in posix_only(source)] == [PLANTED[source]]


@pytest.mark.parametrize("source", GUARDED)
def test_what_asks_first_is_let_through(source):
    assert posix_only(source) == []


def test_nothing_of_ours_needs_posix():
    files = [*PACKAGE.rglob("*.py"), *(ROOT / "examples").rglob("*.py")]
    assert len(files) > 250
    found = {str(file.relative_to(ROOT)): posix_only(file.read_text(encoding="utf-8-sig")) for file in files}
    assert {name: what for name, what in found.items() if what} == {}


def test_renames_are_onto_free_places():
    sources = {file.relative_to(PACKAGE).as_posix(): file.read_text(encoding="utf-8") for file in PACKAGE.rglob("*.py")}
    assert {name for name, source in sources.items() if ".rename(" in source} == MOVES_TO_A_FREE_PLACE


def test_no_attribute_is_missing_on_windows(tmp_path):
    """By mypy's knowledge of the standard library on Windows; other libraries are passed over, which is quick."""
    planted = tmp_path / "planted.py"
    planted.write_text("import os\n\ndef f() -> None:\n    os.mkfifo('a')\n", encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--platform", "win32", "--config-file=", "--follow-imports", "skip"]
    command += ["--ignore-missing-imports", "--cache-dir", str(tmp_path / "cache"), str(PACKAGE), str(planted)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", cwd=ROOT, check=False)
    missing = [line for line in done.stdout.splitlines() if "Module has no attribute" in line]
    assert len(missing) == 1, done.stdout
    assert "planted.py:4" in missing[0]
