"""Run by Python at start-up when `dragon-finetune run` put this folder first on the path: installs the hooks and goes.

Afterwards path, environment and the machine's own sitecustomize are as if Python had been started plainly. Python
passes over whatever goes wrong in here and runs the host all the same, with its own embedder: so we end the process.
"""

import importlib.machinery
import importlib.util
import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 (pathlib costs 20 ms at every start)


def _leave() -> None:
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or ".") != _HERE]  # noqa: PTH100
    before = os.environ.pop("DRAGON_FINETUNE_PYTHONPATH", "")
    if before:
        os.environ["PYTHONPATH"] = before
    else:
        os.environ.pop("PYTHONPATH", None)


def _install() -> None:
    try:
        from dragon_finetune.codex.install import install

        install(checked=True)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        # Nothing of ours can be relied on here, so the words and the code of cli/main.py stand here too.
        print(
            f"error: dragon-finetune run: our embedder can't be put in place ({type(error).__name__}: {error}), and "
            "without it the host would use its own. Nothing was run. Install dragon-finetune again.",
            file=sys.stderr,
            flush=True,
        )
        os._exit(3)


def _run_the_machines_own() -> None:
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", sys.path)
    if spec is not None and spec.loader is not None:
        module = importlib.util.module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)


_leave()
_install()
_run_the_machines_own()  # last: what it raises is reported by Python, as in a plain start
