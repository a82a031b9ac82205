"""Run the command in processes that begin with the libraries imported: forked off one that has done nothing else.

Nearly all the time of a short command is the import of torch, transformers and sentence-transformers. A forked process
has its own memory, folder, environment and exit, as one that was started has. What it can't show is the import: a test
about that starts a process of its own, as does a call whose environment the libraries read when they are imported.
"""

import contextlib
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, BinaryIO

READ_AT_IMPORT = ("HF_", "HUGGINGFACE", "TRANSFORMERS", "TORCH", "OMP", "MKL", "OPENBLAS", "KMP", "PYTHON",
                  "CHROMA", "TOKENIZERS", "ACCELERATE", "XDG_", "HOME", "CI", "LD_", "PATH", "LANG", "LC_",
                  "COLUMNS")  # fmt: skip
# scikit-learn and torch set them when they are imported, Ray when it is started; no command does anything else by them.
_SET_BY_LIBRARIES = {"KMP_DUPLICATE_LIB_OK", "KMP_INIT_AT_FORK", "PYTHONBREAKPOINT", "TORCHINDUCTOR_CACHE_DIR"}

# What commands import, heavy first.
_LIBRARIES = ("transformers.models.bert.modeling_bert", "sentence_transformers", "datasets", "peft", "chromadb",
              "bm25s", "optuna.storages.journal", "scipy.stats", "sklearn.feature_extraction.text")  # fmt: skip
_ROOMS = ("tokens", "lexical", "embedding", "reading", "pairs", "training", "search", "evaluation", "index")

_COMMAND = "from dragon_finetune.cli.main import main; main()"
_WIDTH = 12  # bytes of a number that a keeper tells: the command's process, then its exit status


class CommandServer:
    """The process that has imported everything, and the line to it."""

    def __init__(self):
        self._environment = dict(os.environ)
        # As the command sets it before anything is imported.
        environment = {"TRANSFORMERS_VERBOSITY": "error", **self._environment}
        ours, theirs = socket.socketpair()
        self._line = ours
        command = [sys.executable, __file__, str(theirs.fileno())]
        self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, env=environment)
        theirs.close()

    def serves(self, arguments: list[str], environment: Mapping[str, str]) -> bool:
        """Return whether the libraries, imported by that command in that environment, would be what they are here."""
        if arguments[:1] == ["run"]:
            return False  # what a host imports, and when, is the host's business
        return not self.changed(environment)

    def changed(self, environment: Mapping[str, str]) -> list[str]:
        """Return the variables, read at import, that are not as when the libraries were imported."""
        names = {*environment, *self._environment} - _SET_BY_LIBRARIES
        changed = (name for name in names if environment.get(name) != self._environment.get(name))
        return sorted(name for name in changed if name.startswith(READ_AT_IMPORT))

    def run(self, arguments: list[str], cwd: Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess:
        process = self.start(arguments, cwd, environment)
        out, err = process.communicate()
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def start(
        self,
        arguments: list[str],
        cwd: Path,
        environment: Mapping[str, str],
        *,
        code: str = _COMMAND,
        err: IO[Any] | None = None,
    ) -> "Started":
        """Start the command, or other Python; with `err`, a file, stderr goes there."""
        asked = {"arguments": arguments, "cwd": str(cwd), "environment": dict(environment), "code": code}
        request = json.dumps(asked).encode()
        told, tell = os.pipe()
        out, told_err = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115 (Started closes them)
        socket.send_fds(self._line, [len(request).to_bytes(8)], [out.fileno(), (err or told_err).fileno(), tell])
        os.close(tell)
        self._line.sendall(request)
        return Started(os.fdopen(told, "rb", buffering=0), out, told_err)

    def close(self) -> None:
        self._line.close()
        self._process.wait()


class Started:
    """A command that runs, with as much of subprocess.Popen as the tests ask for; it leads a session of its own."""

    def __init__(self, told: BinaryIO, out: BinaryIO, err: BinaryIO):
        self._told, self._out, self._err = told, out, err
        self.pid = int(told.read(_WIDTH))
        self.returncode: int | None = None
        self._said = "", ""

    def poll(self) -> int | None:
        return self.wait(0)

    def wait(self, timeout: float | None = None) -> int | None:
        """Return the exit status, or None where it runs on after `timeout` seconds."""
        if self.returncode is None and self._tells(timeout):
            with self._told, self._out, self._err:
                self.returncode = int(self._told.read(_WIDTH) or b"-9")
                self._said = _text(self._out), _text(self._err)
        return self.returncode

    def _tells(self, timeout: float | None) -> bool:
        # Not `select`: it takes no file numbered over 1,023, and a process that runs a thousand tests has many open.
        poller = select.poll()
        poller.register(self._told, select.POLLIN | select.POLLHUP)
        return bool(poller.poll(None if timeout is None else timeout * 1000))

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):  # ended since, and not told yet
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Return what it wrote, when it has ended."""
        if self.wait(timeout) is None:
            raise subprocess.TimeoutExpired("dragon-finetune", timeout)
        return self._said


def _text(file: BinaryIO) -> str:
    file.seek(0)
    return file.read().decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")


def _serve(line: socket.socket) -> None:
    """Fork a process for each request, which is the command; return in it when that has ended, and at the end."""
    while True:
        size, fds, _, _ = socket.recv_fds(line, 8, 3)
        if not size:
            return
        request = b""
        while len(request) < int.from_bytes(size):
            request += line.recv(1 << 20)
        keeper = os.fork()
        if keeper:
            for fd in fds:
                os.close(fd)
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        command = os.fork()
        if command:
            os.write(fds[2], b"%*d" % (_WIDTH, command))
            status = os.waitstatus_to_exitcode(os.waitpid(command, 0)[1])
            os.write(fds[2], b"%*d" % (_WIDTH, status))
            os._exit(0)
        os.setsid()
        line.close()
        _become(json.loads(request), fds)
        return


def _become(request: dict, fds: list[int]) -> None:
    out, err, status = fds
    os.dup2(out, 1)
    os.dup2(err, 2)
    for fd in (out, err, status):
        os.close(fd)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = ["dragon-finetune", *request["arguments"]]
    exec(request["code"], {"__name__": "__main__"})


def _import_everything() -> None:
    from dragon_finetune.embedding.openvino_import import load_openvino

    for name in (*_LIBRARIES, "dragon_finetune.codex.run", "dragon_finetune.cli.app"):
        importlib.import_module(name)
    load_openvino()
    for room in _ROOMS:
        package = importlib.import_module(f"dragon_finetune.{room}")
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            with contextlib.suppress(ImportError):  # of an extra that is not installed
                importlib.import_module(module.name)


if __name__ == "__main__":
    sys.path.pop(0)  # the tests' folder, which the command would not have
    _import_everything()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no keeper stays as a zombie
    _serve(socket.socket(fileno=int(sys.argv[1])))
