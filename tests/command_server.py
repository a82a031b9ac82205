"""Run the command in processes that begin with the libraries imported: forked off one that has done nothing else.

Nearly all the time of a short command is the import of torch, transformers and sentence-transformers. A forked process
has its own memory, folder, environment and exit, as one that was started has. What it can't show is the import: a test
about that starts a process of its own, as does a call whose environment the libraries read when they are imported.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

READ_AT_IMPORT = ("HF_", "HUGGINGFACE", "TRANSFORMERS", "TORCH", "OMP", "MKL", "OPENBLAS", "KMP", "PYTHON",
                  "CHROMA", "TOKENIZERS", "ACCELERATE", "XDG_", "HOME", "CI", "LD_", "PATH", "LANG", "LC_",
                  "COLUMNS")  # fmt: skip


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
        names = {*environment, *self._environment}
        changed = (name for name in names if environment.get(name) != self._environment.get(name))
        return not any(name.startswith(READ_AT_IMPORT) for name in changed)

    def run(self, arguments: list[str], cwd: Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess:
        request = json.dumps({"arguments": arguments, "cwd": str(cwd), "environment": dict(environment)}).encode()
        ended, tell = os.pipe()
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, os.fdopen(ended, "rb") as status:
            socket.send_fds(self._line, [len(request).to_bytes(8)], [out.fileno(), err.fileno(), tell])
            os.close(tell)
            self._line.sendall(request)
            code = int(status.read() or b"-9")
            return subprocess.CompletedProcess(arguments, code, _text(out), _text(err))

    def close(self) -> None:
        self._line.close()
        self._process.wait()


def _text(file) -> str:
    file.seek(0)
    return file.read().decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")


def _served(line: socket.socket) -> bool:
    """Fork a process for each request; return in that process, to go on as the command, and False at the end."""
    while True:
        size, fds, _, _ = socket.recv_fds(line, 8, 3)
        if not size:
            return False
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
            status = os.waitstatus_to_exitcode(os.waitpid(command, 0)[1])
            os.write(fds[2], str(status).encode())
            os._exit(0)
        line.close()
        _become(json.loads(request), fds)
        return True


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


def _import_everything() -> None:
    import transformers.models.bert.modeling_bert  # noqa: F401

    import dragon_finetune.codex.run  # noqa: F401


if __name__ == "__main__":
    sys.path.pop(0)  # the tests' folder, which the command would not have
    _import_everything()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no keeper stays as a zombie
    if _served(socket.socket(fileno=int(sys.argv[1]))):
        from dragon_finetune.cli.main import main

        main()
