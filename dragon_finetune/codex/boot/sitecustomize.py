"""Run by Python at start-up when `dragon-finetune run` put this folder first on the path: installs the hooks and goes.

Afterwards path, environment and the machine's own sitecustomize are as if Python had been started plainly.
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
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", sys.path)
    if spec is not None and spec.loader is not None:
        module = importlib.util.module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)


def _install() -> None:
    # Python prints what goes wrong in here and goes on, with the host's own embedder: so it ends here instead.
    try:
        from dragon_finetune.codex.install import install

        install()
    except BaseException as error:
        print(f"dragon-finetune: our embedder can't take the host's place ({error!r}), so the host was not started. "
              "Mend the environment (`pip check`), or run the script with `python` to use its own.",
              file=sys.stderr)  # fmt: skip
        sys.stderr.flush()
        os._exit(3)


_leave()  # the path must be clean before anything of ours is imported
_install()
