"""The command line's entry: how failures are told, and exit codes.

Exit codes: 0 fine; 1 the answer is no (each command's help says what); 2 wrong use or bad input; 3 our own failure;
130 interrupted.
"""

import os
import sys
import traceback
import warnings
from typing import Any

from dragon_finetune.cli.streams import make_patient
from dragon_finetune.errors import DragonFinetuneError, StoppedError
from dragon_finetune.processes import end_with_parent
from dragon_finetune.progress import QUIET, working
from dragon_finetune.text import printable

_INTERRUPTED = 130
_GO_ON = "interrupted; the same command goes on where this one stopped"


def main() -> None:
    """Run the command line and exit with one of the codes above."""
    warnings.showwarning = _show_warning
    make_patient()
    end_with_parent()
    _hear_quiet()
    try:
        # What follows `run` is the host's command line, in which nothing is ours to parse.
        code = _run_host(sys.argv[2:]) if sys.argv[1:2] == ["run"] else _run_command()
    except StoppedError as stopped:
        code = _say(str(stopped), _INTERRUPTED)
    except DragonFinetuneError as error:
        code = _say(f"error: {error}", 2)
    except KeyboardInterrupt:
        code = _say(_GO_ON, _INTERRUPTED)
    except OSError as error:
        # What no reader or writer of ours has named: rights, a full disk, a path that can't be.
        code = _say(f"error: {error.filename or 'the system'}: {error.strerror or error}", 2)
    except Exception as error:
        code = _report(error)
    sys.exit(code)


def _hear_quiet() -> None:
    """Take `--quiet` off the front: it goes for all commands, `run` and processes of ours too."""
    if sys.argv[1:2] in (["--quiet"], ["-q"]):
        del sys.argv[1]
        os.environ[QUIET] = "1"


def _run_command() -> int:
    from dragon_finetune.cli.app import app

    # Set before anything imports it, and for processes of ours; a person's own word counts more.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    with working(" ".join(sys.argv[1:2])):
        code = app(standalone_mode=False)
        sys.stdout.flush()
    # Typer takes Ctrl-C itself and says nothing.
    return _say(_GO_ON, _INTERRUPTED) if code == _INTERRUPTED else code if isinstance(code, int) else 0


def _run_host(arguments: list[str]) -> int:
    # `run` starts before every script of a host's, so it does without what the other commands import.
    if arguments in (["--help"], ["-h"]):
        from dragon_finetune.cli.app import app

        app(standalone_mode=False)
        return 0
    from dragon_finetune.codex.run import run

    return run(arguments)


def _report(error: Exception) -> int:
    # Typer's usage errors carry their own exit code and how to show themselves; everything else is our failure.
    if hasattr(error, "show") and hasattr(error, "exit_code"):
        error.show()
        return int(error.exit_code)
    if type(error).__name__ == "Abort":
        return _say(_GO_ON, _INTERRUPTED)
    traceback.print_exc()
    return _say("This is a fault of dragon-finetune. Please report it with the lines above.", 3)


def _say(text: str, code: int) -> int:
    print(printable(text), file=sys.stderr)
    return code


def _show_warning(message: Any, category: type[Warning], *_: Any, **__: Any) -> None:
    if issubclass(category, UserWarning):
        print(printable(f"warning: {message}"), file=sys.stderr)
