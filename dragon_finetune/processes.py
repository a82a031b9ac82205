"""Processes of ours that this one starts: what they may import, and that they end when it does."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

_PARENT = "DRAGON_FINETUNE_PARENT"
_SECONDS_BETWEEN_LOOKS = 0.5


def python_of_ours(module: str, arguments: Sequence[str] = ()) -> list[str]:
    """Return the command that runs a module of ours in a fresh interpreter.

    The current folder is not on its path (`-P`): a `typer.py` that lies there is not ours to run.
    """
    return [sys.executable, "-P", "-m", module, *arguments]


def environment_of_a_child(**more: str) -> Mapping[str, str]:
    """Return the environment for a process that is to end when this one does (`end_with_parent`)."""
    # What it prints is read as UTF-8, which a pipe's encoding on Windows is not.
    return {**os.environ, _PARENT: str(os.getpid()), "PYTHONIOENCODING": "utf-8", **more}


def start(command: Sequence[str], **options: Any) -> "subprocess.Popen[bytes]":
    """Start a process of ours that ends when this one does, however that is."""
    if sys.platform == "win32":
        # A group of its own, for Windows can ask none but a whole group to end.
        options = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP, **options}
    return subprocess.Popen(command, env=environment_of_a_child(), stdin=subprocess.DEVNULL, **options)


def ask_to_end(process: "subprocess.Popen[bytes]") -> None:
    """Ask a process that `start` began to save its work and end. On Windows `terminate` would be no question."""
    if sys.platform == "win32":
        try:
            process.send_signal(signal.CTRL_BREAK_EVENT)
        except OSError:  # there is no console to ask by
            process.terminate()
    else:
        process.terminate()


def processes_together() -> int:
    """Return how many processes train one model together, by the environment that torchrun gives each."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first_process() -> bool:
    """Tell whether this process is the one that says what was done: the only one, or rank 0 under torchrun."""
    # A RANK that something else left behind, without a world to have a rank in, says nothing.
    return processes_together() == 1 or int(os.environ.get("RANK", "0")) == 0


def end_with_parent() -> None:
    """Where this process was started by another of ours, end when that one has ended: killed, say, with no chance."""
    parent = os.environ.pop(_PARENT, None)
    if parent is not None:
        threading.Thread(target=_watch, args=(int(parent),), daemon=True, name="end with parent").start()


def _watch(parent: int) -> None:
    wait_for_end(parent)
    os._exit(1)


def wait_for_end(pid: int) -> None:
    """Return when a process has ended, whosever it is."""
    import psutil

    try:
        process = psutil.Process(pid)
        # Asked of the process and not of its number, which another may have been given since.
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            time.sleep(_SECONDS_BETWEEN_LOOKS)
    except psutil.NoSuchProcess:
        pass
