"""Running the scripts of a Dragon's Codex that has no plugin manager of its own: `dragon-finetune run`."""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path

from dragon_finetune.codex.explain import explain, found
from dragon_finetune.codex.made import make_chunker
from dragon_finetune.codex.switch import chosen, host_order, is_silent, overruled, read_config
from dragon_finetune.errors import SettingsError

USAGE = "dragon-finetune run [--explain] (-m MODULE | SCRIPT) [ARGS...]"


def run(arguments: Sequence[str]) -> int:
    """Run a host's module or script as `python` itself would, with the embedder that the host's switch names.

    A fresh interpreter takes this process's place (on Windows: a child whose exit code is passed on), so exit code,
    signals, standard streams, tracebacks and sys.argv are those of a plain run.

    Args:
        arguments: what stands behind `run`.

    Returns:
        The host's exit code, where the process was not replaced.

    Raises:
        SettingsError: no module or script; or the switch, or the options behind it, are wrong: then nothing has run.
    """
    rest = list(arguments)
    explaining = rest[:1] == ["--explain"]
    if explaining:
        rest = rest[1:]
    if not rest or rest == ["-m"] or (rest[0].startswith("-") and rest[0] != "-m"):
        raise SettingsError(f"give a module or a script: {USAGE}")
    if explaining:
        print(explain())
        return 0
    check()
    command = [sys.executable, *rest]
    boot = str(Path(__file__).with_name("boot"))
    before = os.environ.get("PYTHONPATH", "")
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([boot, before]) if before else boot,
        "DRAGON_FINETUNE_PYTHONPATH": before,
    }
    sys.stdout.flush()
    sys.stderr.flush()
    if os.name == "posix":
        os.execve(sys.executable, command, environment)
    return _wait_for(command, environment)


def _wait_for(command: Sequence[str], environment: dict[str, str]) -> int:
    """Run a child where a process can't be replaced (Windows); Ctrl-C is the child's business."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return subprocess.run(command, env=environment, check=False).returncode
    finally:
        signal.signal(signal.SIGINT, before)


def check() -> None:
    """Say what is wrong with the switch before the host starts, and where nothing would come of it.

    Raises:
        SettingsError: the switch names what no plugin offers, or a chunker alone, or options are wrong.
    """
    if is_silent():
        return
    for beaten in overruled():
        print(f"warning: {beaten}", file=sys.stderr)
    choice = chosen()
    if choice.embedder == "host":
        return
    from dragon_finetune.host import create_embedder

    with host_order(), redirect_stdout(sys.stderr):  # stdout is the host's; a plugin's factory may print
        create_embedder(read_config(), name=choice.embedder)
        if choice.chunker:
            make_chunker()
    if not found():
        print(
            f"warning: the switch says {choice.embedder}, but this folder holds no module of a Dragon's Codex that we "
            "know (src/utils/...), so nothing is exchanged. Start from the codex's own folder; --explain says more.",
            file=sys.stderr,
        )
